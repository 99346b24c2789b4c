"""What is asked of the API and of the object store."""

import pytest

from dreamhub_api.routes import ROUTES as API_ROUTES
from dreamhub_operator.isolation.api import ROUTES, Answer, choose_routes
from dreamhub_operator.isolation.outcome import Blocked, Inconclusive, Leaked
from dreamhub_operator.isolation.redis import with_login
from dreamhub_operator.isolation.s3 import build_requests, judge
from dreamhub_operator.isolation.side import Side

GET = "http://s3:8333/dreamhub/tenants/acme/versions/ver_1?X-Amz-Expires=60&X-Amz-Signature=abc"
PUT = "http://s3:8333/dreamhub/tenants/acme/versions/ver_2?X-Amz-Expires=60&X-Amz-Signature=def"
FOREIGN = "tenants/beta/versions/ver_9"


def side(*, document: str | None = "doc_1", jobs: tuple[str, ...] = (), expendable: bool = False) -> Side:
    return Side("beta", "", "", "", document, None, jobs, expendable=expendable)


def test_every_route_that_takes_an_id_is_tried() -> None:
    known = {(route.method, route.path.replace("{id}", "{}")) for route in ROUTES}
    for route in API_ROUTES:
        path = route.path.replace("{document_id}", "{}").replace("{job_name}", "{}")
        if "{" in route.path:
            assert (route.method, path) in known, f"{route.method} {route.path} is not among the probes"


def test_nothing_is_destroyed_that_somebody_misses() -> None:
    chosen = [route for route, _ in choose_routes(side(jobs=("handbook",)))]
    assert chosen
    assert not any(route.destroys or route.method == "DELETE" for route in chosen)
    methods = {route.method for route, _ in choose_routes(side(expendable=True))}
    assert "DELETE" in methods


def test_what_the_other_does_not_have_is_not_asked_for() -> None:
    assert list(choose_routes(side(document=None))) == []
    assert {known for _, known in choose_routes(side(document=None, jobs=("handbook",)))} == {"handbook"}


def test_answers_are_compared_without_what_differs_by_nature() -> None:
    def answer(identity: str, number: int, detail: str = "no {}") -> object:
        body = {"detail": detail.format(identity), "requestId": number, "instance": f"/documents/{identity}"}
        return Answer(404, body).told(identity)

    assert answer("doc_1", 1) == answer("doc_2", 2)
    assert answer("doc_1", 1) != answer("doc_2", 1, "forbidden: {}")
    assert Answer(200, {"hits": [], "tookMs": 1.5}).told("doc_1") == Answer(200, {"hits": [], "tookMs": 2}).told(
        "doc_2"
    )
    assert Answer(200, {"hits": [1]}).told("doc_1") != Answer(200, {"hits": []}).told("doc_2")


def test_requests_keep_the_signature_and_change_the_key() -> None:
    requests = {request.name: request for request in build_requests(GET, PUT, FOREIGN, expendable=True)}
    swapped = requests["GET by a signed URL with another's key"]
    assert swapped.url == f"http://s3:8333/dreamhub/{FOREIGN}?X-Amz-Expires=60&X-Amz-Signature=abc"
    assert requests["GET by guessed key, unsigned"].url == f"http://s3:8333/dreamhub/{FOREIGN}"
    assert requests["listing, unsigned"].url == "http://s3:8333/dreamhub/?list-type=2"
    assert "X-Amz-Expires=86400" in requests["GET by a URL that was given a longer life"].url


def test_only_the_canary_is_deleted_from_or_written_over() -> None:
    careful = build_requests(GET, PUT, FOREIGN, expendable=False)
    assert not any(request.method == "DELETE" for request in careful)
    writes = [request for request in careful if request.method == "PUT"]
    assert all("ver_9-taken" in request.url for request in writes)
    assert len(build_requests(GET, PUT, FOREIGN, expendable=True)) > len(careful)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, Blocked), (401, Blocked), (400, Blocked), (200, Leaked), (404, Leaked), (301, Leaked), (503, Inconclusive)],
)
def test_only_a_refusal_of_the_store_is_one(status: int, kind: type) -> None:
    assert isinstance(judge(status), kind)


def test_login_of_a_redis_address_is_replaced() -> None:
    assert with_login("redis://t_a:secret@redis:6379/0", "t_b:x@") == "redis://t_b:x@redis:6379/0"
    assert with_login("redis://t_a:secret@redis:6379/0", "") == "redis://redis:6379/0"
