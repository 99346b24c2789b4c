"""Every wall between two tenants, how it is taken down, and the tests that must notice."""

from tests.walls import api, database, kubernetes, stores
from tests.walls.removals import Wall

WALLS: tuple[Wall, ...] = (*database.WALLS, *stores.WALLS, *api.WALLS, *kubernetes.WALLS)
