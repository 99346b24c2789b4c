module dreamhub.dev/hack/pause

go 1.21
