-- name: set_login
SELECT dreamhub.set_login($1, $2, $3)

-- name: expire_login
SELECT dreamhub.expire_login($1, $2, $3)

-- name: end_login
SELECT dreamhub.end_login($1, $2)
