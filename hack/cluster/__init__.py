"""A real Kubernetes on any Linux machine: kind, also where no registry and no Docker daemon can be reached.

Where Docker runs and kind's node image can be pulled, kind does all the work. Elsewhere this package makes what is
missing, once, in a user cache: binaries from pinned Go modules, a node image of Debian packages around them, a private
Docker daemon, and a pod network that enforces NetworkPolicies.
"""
