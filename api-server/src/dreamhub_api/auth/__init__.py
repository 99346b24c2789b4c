"""Who is calling: OIDC tokens and Kubernetes service-account tokens, both ending as one `Principal`."""
