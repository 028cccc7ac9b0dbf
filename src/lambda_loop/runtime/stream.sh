#!/bin/sh
# AWS_LAMBDA_EXEC_WRAPPER: Lambda calls this with the command that starts its own runtime client (its Python comes first),
# and this starts ours in its place. `sam local` cannot stream, so there it steps aside.
[ "$AWS_SAM_LOCAL" = true ] && exec "$@"
export PYTHONPATH="$LAMBDA_TASK_ROOT:/opt/python/lib/python3.13/site-packages:/opt/python:/var/runtime"
exec "$1" -m lambda_loop.runtime
