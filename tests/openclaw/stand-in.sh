#!/bin/sh
# Plays OpenClaw's command line for tests of how it is called: what it does is its name, through a symbolic link.
name=${0##*/}
case $name in
    arguments) for word; do printf '%s\n' "$word" >&2; done; printf '{"status":"started"}\n' ;;
    known) printf '{"status":"in_flight"}\n' ;;
    odd) printf '{"status":"perhaps"}\n' ;;
    talks) printf '[postinstall] {not json\nmore talk\n{\n "status": "ok"\n}\n' ;;
    refuses) printf '{"ok":false,"error":{"type":"gateway_request_error","code":"INVALID_REQUEST","message":"no such agent"}}\n'; exit 1 ;;
    absent) printf '{"ok":false,"error":{"type":"gateway_transport_error","kind":"closed","message":"not reachable"}}\n'; exit 1 ;;
    fails) printf 'engine too old\n' >&2; exit 7 ;;
    echo) cat ;;
    environment) printf '{"path":"%s","color":"%s"}\n' "$PATH" "$NO_COLOR" ;;
    hangs) sleep 1000 ;;
    leaves) sh -c 'sleep 1000; :' "$0" & printf '{}\n' ;;
    floods) exec cat /dev/zero ;;
    complains) head -c 1000000 /dev/zero >&2; printf '{}\n' ;;
esac
