"""What a job that reads a source upstream needs beside others: its Secret in the pod, and a way out of the cluster."""

from collections.abc import Iterable

from dreamhub.crd.ingest_job import IngestJob, Source
from dreamhub.crd.ingest_source import MailSource, PluginSource, S3Source, Upstream
from dreamhub.crd.tenant_spec import Egress
from dreamhub.domain.job_input import InputSource, OpenNetwork
from dreamhub.names import API_GROUP
from dreamhub_operator.kinds import Manifest
from dreamhub_operator.settings import PrivateNetwork

EGRESS_LABEL = f"{API_GROUP}/egress"
INTERNET = "internet"
"""Of pods that may open connections to public addresses: a NetworkPolicy of the tenant's namespace goes by it."""

SECRET_DIRECTORY = "/var/run/dreamhub/source"  # noqa: S105 - where it is mounted


def reaches_out(source: Source) -> bool:
    """Whether reading it means to leave the cluster. What a plug-in does, nobody knows: it may."""
    match source.upstream:
        case None:
            return False
        case S3Source(endpoint=endpoint):
            return endpoint is not None
        case MailSource(imap=imap):
            return imap is not None
        case _:
            return True


def source_labels(job: IngestJob) -> dict[str, str]:
    return {EGRESS_LABEL: INTERNET} if reaches_out(job.spec.source) else {}


def source_volumes(job: IngestJob) -> list[Manifest]:
    """The operator never reads the Secret: the kubelet mounts it.

    One that is not there must not hold up the pod, whose waiting would tell nobody why: the worker finds it empty, and
    says so.
    """
    name = _secret_name(job.spec.source)
    if name is None:
        return []
    return [{"name": "source", "secret": {"secretName": name, "defaultMode": 0o440, "optional": True}}]


def source_mounts(job: IngestJob) -> list[Manifest]:
    mount = {"name": "source", "mountPath": SECRET_DIRECTORY, "readOnly": True}
    return [] if _secret_name(job.spec.source) is None else [mount]


def describe_source(source: Source, tenant: Iterable[Egress], platform: Iterable[PrivateNetwork]) -> InputSource | None:
    """What the worker is told. Networks are those that its NetworkPolicies open, so that both refuse the same."""
    upstream = source.upstream
    if upstream is None:
        return None
    opened = [OpenNetwork(cidr=str(network.cidr), ports=network.ports) for network in platform]
    opened += [OpenNetwork(cidr=rule.to, ports=rule.ports) for rule in tenant]
    kind = source.kind
    if kind in {"documents", "inline"}:
        return None
    return InputSource(
        kind=kind,
        reader=upstream.name if isinstance(upstream, PluginSource) else kind,
        config=_config(upstream),
        identity=upstream.identity(),
        networks=tuple(opened),
        secret_dir=SECRET_DIRECTORY if upstream.secret_ref is not None else None,
    )


def _config(upstream: Upstream) -> dict[str, object]:
    if isinstance(upstream, PluginSource):
        return dict(upstream.config)
    return upstream.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"secret_ref": True, "imap": {"secret_ref"}}
    )


def _secret_name(source: Source) -> str | None:
    upstream = source.upstream
    return None if upstream is None or upstream.secret_ref is None else upstream.secret_ref.name
