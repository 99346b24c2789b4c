"""For all tests: Hypothesis tries the same examples in every run, and none fails because the machine is busy.

By default an example has 200 ms, and others come each time: `pytest --hypothesis-profile=default` looks further.
"""

from hypothesis import settings

settings.load_profile("ci")
