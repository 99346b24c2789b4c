# Runs in the container that becomes the node image: put an archive of images, read from stdin, into its containerd.
set -eu
containerd >/var/log/containerd-import.log 2>&1 &
daemon=$!
attempts=0
until ctr version >/dev/null 2>&1; do
  attempts=$((attempts + 1))
  [ $attempts -lt 150 ] || { cat /var/log/containerd-import.log >&2; exit 1; }
  sleep 0.2
done
ctr -n k8s.io images import --all-platforms --no-unpack --digests - >&2
kill $daemon
wait $daemon || true
rm -rf /run/containerd /var/log/containerd-import.log
