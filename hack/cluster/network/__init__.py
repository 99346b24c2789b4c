"""The pod network of nodes that cannot get kind's own: addresses, routes and enforced NetworkPolicies."""
