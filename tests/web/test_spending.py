"""What an operation did cost, level by level for all objects at once, is what it costs object by object."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from web.spending import Share, Shares, Sizing

FEW = st.integers(0, 2)


def one_by_one(shares: Shares, value: Any) -> int:
    """The definition: fields that are missing cost nothing, those whose size cannot vary cost what was measured."""
    if value is None:
        return 0
    here = [share for share in shares if share.key in value]
    return sum(spent(share, value[share.key]) if share.varies else share.cost for share in here)


def spent(share: Share, value: Any) -> int:
    own, each, inside = share._own, share._each, share._inside
    if value is None:
        return own
    if share.sizing is Sizing.ONE:
        return own + each + one_by_one(inside, value)
    if share.sizing is Sizing.LIST:
        return own + sum(each + one_by_one(inside, row) for row in value)
    if share.sizing is Sizing.ROWS:
        return sum(own + one_by_one(inside, row) for row in value)
    rows = [(one, value.get(one.key) or ()) for one in inside.rows]
    beside = each + sum(one.cost for one in inside if one.sizing is not Sizing.ROWS)
    return own + max(len(found) for _, found in rows) * beside + sum(spent(one, found) for one, found in rows)


@st.composite
def selections(draw: st.DrawFn, depth: int = 3) -> Shares:
    shares = Shares()
    for number in range(draw(st.integers(1, 4))):
        inside = draw(selections(depth - 1)) if depth and draw(st.booleans()) else None
        sizing = draw(st.sampled_from(Sizing)) if inside else Sizing.ONE
        if sizing is Sizing.PAGE and inside and not inside.rows:
            sizing = Sizing.LIST
        own, each = draw(FEW), draw(FEW)
        cost = own + 3 * (each + sum(one.cost for one in inside or ()))
        shares.add(Share(f"f{number}", cost=cost, own=own, each=each, inside=inside, sizing=sizing))
    return shares


@st.composite
def outcomes(draw: st.DrawFn, shares: Shares) -> Any:
    """An object with these fields; some are null, and some are missing, as those that were selected for another type are."""
    if draw(st.integers(0, 9)) == 0:
        return None
    found: dict[str, Any] = {}
    for share in shares:
        how = draw(st.integers(0, 9))
        if how == 0:
            continue
        if how == 1:
            found[share.key] = None
        elif share.sizing in {Sizing.LIST, Sizing.ROWS}:
            found[share.key] = draw(st.lists(outcomes(share._inside), max_size=4))
        else:
            found[share.key] = draw(outcomes(share._inside)) if len(share._inside) else "leaf"
    return found


@given(st.data())
def test_what_objects_cost_together_is_what_they_cost_one_by_one(data: st.DataObject) -> None:
    shares = data.draw(selections())
    values = data.draw(st.lists(outcomes(shares), max_size=3))
    assert shares.spent(values) == sum(one_by_one(shares, value) for value in values)


def test_what_came_to_nothing_costs_a_point_and_what_failed_costs_all_of_it() -> None:
    row = Shares()
    row.add(Share("id", cost=0))
    root = Shares()
    root.add(Share("chats", cost=100, each=10, inside=row, sizing=Sizing.LIST))
    assert [root.of(100, {"chats": rows}) for rows in ([], [{"id": 1}], [{"id": 1}] * 10)] == [1, 10, 100]
    assert root.of(100, None) == 100
