"""Every wall between two tenants, how it is taken down, and the tests that must notice."""

from tests.walls import api, database, kubernetes, quotas, stores
from tests.walls.removals import Wall

WALLS: tuple[Wall, ...] = (*database.WALLS, *quotas.WALLS, *stores.WALLS, *api.WALLS, *kubernetes.WALLS)
