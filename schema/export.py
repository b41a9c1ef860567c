"""`python -m schema.export`: prints the schema, which is committed as `schema/schema.graphql`."""

import sys

from schema.schema import sdl

if __name__ == "__main__":
    sys.stdout.write(sdl())
