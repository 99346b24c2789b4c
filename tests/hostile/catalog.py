"""All hostile files. None of them may become searchable."""

from functools import cache

from tests.hostile import office, pdfs, programs, texts
from tests.hostile.case import Case


@cache
def catalog() -> tuple[Case, ...]:
    return (*office.cases(), *programs.cases(), *pdfs.cases(), *texts.cases())
