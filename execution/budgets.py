"""What the plans of all operations may take of the memory together."""

from collections import OrderedDict
from collections.abc import Hashable

from execution.plans import Selection


class Plans:
    """The plans that are kept, with the fields that they hold, of at most `most_fields` in all; the least used are forgotten first."""

    def __init__(self, most_fields: int) -> None:
        self.most_fields = most_fields
        self._kept: OrderedDict[tuple[Hashable, ...], tuple[Selection, int]] = OrderedDict()
        self._fields = 0

    def get(self, key: tuple[Hashable, ...]) -> Selection | None:
        """Return a plan that is kept."""
        if (found := self._kept.get(key)) is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def forget(self, owner: object) -> None:
        """Forget all plans of one operation, with which their keys begin."""
        for key in [one for one in self._kept if one[0] is owner]:
            self._fields -= self._kept.pop(key)[1]

    def keep(self, key: tuple[Hashable, ...], plan: Selection, fields: int) -> None:
        """Keep a plan; the newest stays, however large it is."""
        self._kept[key] = plan, fields
        self._fields += fields
        while self._fields > self.most_fields and len(self._kept) > 1:
            _, (_, forgotten) = self._kept.popitem(last=False)
            self._fields -= forgotten
