"""Runs on every node, in its network namespace, with nothing but Python's standard library, `nft` and `ip`.

It gives the node its CNI configuration, routes to the other nodes' pods, masquerades what leaves the pod network, and
turns NetworkPolicies into one nftables table that is replaced as a whole, atomically.

What holds:
- A pod's first process starts after the policies known for the pod are in force: the last CNI plugin of the chain waits
  for this agent, and a pod does not start while the agent cannot answer.
- A change of policies, labels or addresses is in force some ten milliseconds after the API server told it. A peer is
  let in when its address is known from the API server (or, on its own node, from CNI); until then it is kept out.
- Connections that are established stay when a policy changes, as with kind's own agent.
- The node reaches its own pods always (probes); a pod's egress rules count towards the node it runs on as well, which
  Kubernetes leaves open and kind's own agent does not do.
- IPv4 only. Host-network pods are neither isolated nor peers.
"""
