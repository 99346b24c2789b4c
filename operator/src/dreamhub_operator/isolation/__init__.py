"""Proof, taken again and again, that the walls around each tenant stand: one tenant's own logins tried on another.

    outcome     what an attempt came to, and what a round of them means (pure)
    schedule    when a tenant is due (pure)
    findings    what its status says (pure)
    sql, redis, s3, api, network    the attempts, by the wall that should stop them
    canary      the Tenant that exists to be attacked, and to attack
    round       all attempts of a tenant against the canary, and of the canary against it
    verifier    runs rounds beside the reconciles and keeps what they found

Nothing here is simulated: a probe logs in as the tenant does, and passes when the server refuses it. A refusal counts
only where a control shows that the same way is open to what is the tenant's own: blocked must not be mistaken for
broken.
"""
