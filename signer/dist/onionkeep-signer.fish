# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_onionkeep_signer_global_optspecs
    string join \n config= h/help V/version
end

function __fish_onionkeep_signer_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_onionkeep_signer_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_onionkeep_signer_using_subcommand
    set -l cmd (__fish_onionkeep_signer_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -s h -l help -d 'Print help'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -s V -l version -d 'Print version'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "token" -d 'Prepare the token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "key" -d 'Make, bring or look at keys'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "backup" -d 'Split, check and export the backup of a key'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "restore" -d 'Bring a key back from its backup, to the configured token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "pin" -d 'Change the token\'s PIN'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "serve" -d 'Serve the publisher on the socket'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "init" -d 'Make the ledger, and the audit key on the token by which it is signed. Once, before the first `serve`'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "deny" -d 'Never certify a key again, or anything of an onion. While the signer is stopped'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "request" -d 'Look at a publisher\'s request, or learn whose requests count. Needs no token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "issue" -d 'Sign the certificates that a request asks for: all of them or none'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "bundle" -d 'Check a bundle'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "ceremony" -d 'A whole ceremony, step by step, with a transcript: what is done stays done, whatever happens'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "audit" -d 'Check, show or hand over the ledger'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "gate" -d 'The part of serve that has the socket, the rules and the ledger'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "vault" -d 'The part of serve that has the token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "doctor" -d 'Look at everything that the signer depends on: one line each, OK, WARN or FAIL, and what to do'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "check-config" -d 'Find everything that is wrong with the configuration'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand token; and not __fish_seen_subcommand_from init help" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand token; and not __fish_seen_subcommand_from init help" -s h -l help -d 'Print help'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand token; and not __fish_seen_subcommand_from init help" -f -a "init" -d 'Set label, security officer\'s PIN and user PIN of an empty token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand token; and not __fish_seen_subcommand_from init help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand token; and __fish_seen_subcommand_from init" -l erase -d 'Destroy everything on the token with exactly this serial number first' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand token; and __fish_seen_subcommand_from init" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand token; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "init" -d 'Set label, security officer\'s PIN and user PIN of an empty token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and not __fish_seen_subcommand_from new import show copy help" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and not __fish_seen_subcommand_from new import show copy help" -s h -l help -d 'Print help'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and not __fish_seen_subcommand_from new import show copy help" -f -a "new" -d 'Make a new onion identity on the token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and not __fish_seen_subcommand_from new import show copy help" -f -a "import" -d 'Bring the key of a service that exists'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and not __fish_seen_subcommand_from new import show copy help" -f -a "show" -d 'List the onions on the token, and check each'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and not __fish_seen_subcommand_from new import show copy help" -f -a "copy" -d 'Seal a key to a second token too, which another configuration names'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and not __fish_seen_subcommand_from new import show copy help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from new" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from new" -l rehearse -d 'Practise on a throw-away token: make an address that everybody sees to be one of a rehearsal'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from import" -l hostname -d 'A file with the address that the key must have; default: the file `hostname` beside the key' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from import" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from show" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from copy" -l onion -d 'Whose key' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from copy" -l to -d 'The configuration with the other token' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from copy" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from copy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "new" -d 'Make a new onion identity on the token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "import" -d 'Bring the key of a service that exists'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "show" -d 'List the onions on the token, and check each'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "copy" -d 'Seal a key to a second token too, which another configuration names'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand key; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and not __fish_seen_subcommand_from split check export help" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and not __fish_seen_subcommand_from split check export help" -s h -l help -d 'Print help'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and not __fish_seen_subcommand_from split check export help" -f -a "split" -d 'Wrap a key under a fresh secret and split that among custodians, each of whom types their share back'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and not __fish_seen_subcommand_from split check export help" -f -a "check" -d 'Have one custodian type their share, and say whether it is good. Needs no token; nothing is stored'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and not __fish_seen_subcommand_from split check export help" -f -a "export" -d 'Copy the wrapped key and its verifier, which are useless without enough shares'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and not __fish_seen_subcommand_from split check export help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from split" -l onion -d 'Whose key' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from split" -l shares -d 'How many shares there are to be, 2 to 31' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from split" -l threshold -d 'How many of them restore, 2 or more' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from split" -l to -d 'A directory on a custodian\'s own medium; once for each custodian. Without it the shares are shown on the terminal' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from split" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from split" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from check" -l verifier -d 'The verifier of the backup' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from check" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from check" -l shares-from-stdin -d 'Read the share from a pipe: for drills only'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from export" -l onion -d 'Whose key' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from export" -l to -d 'Where to' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from export" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "split" -d 'Wrap a key under a fresh secret and split that among custodians, each of whom types their share back'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "check" -d 'Have one custodian type their share, and say whether it is good. Needs no token; nothing is stored'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "export" -d 'Copy the wrapped key and its verifier, which are useless without enough shares'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand restore" -l wrapped -d 'The wrapped key' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand restore" -l verifier -d 'The verifier of the same backup' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand restore" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand restore" -l shares-from-stdin -d 'Read the shares from a pipe, one a line: for drills only, because whoever fills the pipe has the key'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand pin; and not __fish_seen_subcommand_from change help" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand pin; and not __fish_seen_subcommand_from change help" -s h -l help -d 'Print help'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand pin; and not __fish_seen_subcommand_from change help" -f -a "change" -d 'Change the user PIN: the old one from the configured source, the new one typed twice'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand pin; and not __fish_seen_subcommand_from change help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand pin; and __fish_seen_subcommand_from change" -l new -d 'Where the new PIN comes from: `file:/path`, `credential:NAME` or `prompt`' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand pin; and __fish_seen_subcommand_from change" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand pin; and __fish_seen_subcommand_from change" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand pin; and __fish_seen_subcommand_from help" -f -a "change" -d 'Change the user PIN: the old one from the configured source, the new one typed twice'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand pin; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand serve" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand init" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand init" -l new-audit-key -d 'Go on with the old ledger after moving to another token, whose audit key it names from now on'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand deny" -l key -d 'The descriptor-signing public key, in hex' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand deny" -l onion -d 'The onion address' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand deny" -l request -d 'The name of a request, as `request show` prints it' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand deny" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand deny" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and not __fish_seen_subcommand_from show enrol help" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and not __fish_seen_subcommand_from show enrol help" -s h -l help -d 'Print help'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and not __fish_seen_subcommand_from show enrol help" -f -a "show" -d 'Show what a request asks for and what each rule says. Exit code 3 names the first rule that it breaks'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and not __fish_seen_subcommand_from show enrol help" -f -a "enrol" -d 'From now on take this onion\'s requests from the publisher with this key, and from no other'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and not __fish_seen_subcommand_from show enrol help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from show" -l horizon -d 'How many periods ahead may be asked for' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from show" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from show" -l first -d 'This is the onion\'s first request since its publisher was enrolled'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from show" -l rehearse -d 'Practise on a throw-away token: every line says so, and no publisher takes what is made'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from enrol" -l onion -d 'The onion' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from enrol" -l key -d 'The public key that `onionkeep-publisher request key` printed' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from enrol" -l heard -d 'The ten words of the key that the publisher\'s side read aloud; asked on the terminal if they are not given' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from enrol" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from enrol" -l rehearse -d 'Practise: every line says so'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from enrol" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show what a request asks for and what each rule says. Exit code 3 names the first rule that it breaks'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from help" -f -a "enrol" -d 'From now on take this onion\'s requests from the publisher with this key, and from no other'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand request; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand issue" -s o -l out -d 'The bundle' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand issue" -l emergency -d 'The bundle for the standby keys; keep it sealed' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand issue" -l horizon -d 'How many periods ahead may be asked for' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand issue" -l heard -d 'The ten words that the publisher\'s side read aloud' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand issue" -l watch -d 'Date and hour on a watch, in UTC, as in "2026-11-22 16"' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand issue" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand issue" -l first -d 'This is the onion\'s first request since its publisher was enrolled'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand issue" -l rehearse -d 'Practise on a throw-away token: every line says so, and no publisher takes what is made'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand issue" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand bundle; and not __fish_seen_subcommand_from verify help" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand bundle; and not __fish_seen_subcommand_from verify help" -s h -l help -d 'Print help'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand bundle; and not __fish_seen_subcommand_from verify help" -f -a "verify" -d 'Check every certificate and the signature. Needs no secret, no token, no network and no configuration. Exit code 4 if anything is wrong'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand bundle; and not __fish_seen_subcommand_from verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand bundle; and __fish_seen_subcommand_from verify" -l onion -d 'Whose it must be' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand bundle; and __fish_seen_subcommand_from verify" -l request -d 'The request that it must answer' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand bundle; and __fish_seen_subcommand_from verify" -l auditor -d 'The public audit key that `init` printed' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand bundle; and __fish_seen_subcommand_from verify" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand bundle; and __fish_seen_subcommand_from verify" -l rehearse -d 'It is of a rehearsal'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand bundle; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand bundle; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Check every certificate and the signature. Needs no secret, no token, no network and no configuration. Exit code 4 if anything is wrong'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand bundle; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and not __fish_seen_subcommand_from start status resume help" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and not __fish_seen_subcommand_from start status resume help" -s h -l help -d 'Print help'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and not __fish_seen_subcommand_from start status resume help" -f -a "start" -d 'Begin a ceremony in a directory: answer a request, or, with --first alone, prepare token, key and backup'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and not __fish_seen_subcommand_from start status resume help" -f -a "status" -d 'Show which steps are done and what is next. Needs no token. Exit code 9 if a step is left'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and not __fish_seen_subcommand_from start status resume help" -f -a "resume" -d 'Go on after a pause, a mistake or a power cut'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and not __fish_seen_subcommand_from start status resume help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l request -d 'The request that is answered' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -s o -l out -d 'The bundle; in the ceremony\'s directory if not given' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l emergency -d 'The bundle for the standby keys; in the ceremony\'s directory if not given' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l horizon -d 'How many periods ahead may be asked for' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l heard -d 'The ten words that the publisher\'s side read aloud' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l watch -d 'Date and hour on a watch, in UTC, as in "2026-11-22 16"' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l publisher -d 'The public key that `onionkeep-publisher request key` printed' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l erase -d 'Destroy everything on the token with exactly this serial number first' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l second -d 'The configuration of a second token, onto which the key is restored' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l shares -d 'How many shares the backup has' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l threshold -d 'How many of them restore the key' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l import -d 'Bring the key of a service that exists, instead of making one' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l onion -d 'The key of this address is on the token already' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l first -d 'This is the onion\'s first request since its publisher was enrolled'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -l rehearse -d 'Practise on a throw-away token: every line says so, and no publisher takes what is made'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from status" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from resume" -l heard -d 'The ten words that the publisher\'s side read aloud' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from resume" -l watch -d 'Date and hour on a watch, in UTC, as in "2026-11-22 16"' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from resume" -l publisher -d 'The public key that `onionkeep-publisher request key` printed' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from resume" -l erase -d 'Destroy everything on the token with exactly this serial number first' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from resume" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from help" -f -a "start" -d 'Begin a ceremony in a directory: answer a request, or, with --first alone, prepare token, key and backup'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show which steps are done and what is next. Needs no token. Exit code 9 if a step is left'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from help" -f -a "resume" -d 'Go on after a pause, a mistake or a power cut'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand ceremony; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and not __fish_seen_subcommand_from verify show checkpoint export help" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and not __fish_seen_subcommand_from verify show checkpoint export help" -s h -l help -d 'Print help'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and not __fish_seen_subcommand_from verify show checkpoint export help" -f -a "verify" -d 'Check every line, certificate and checkpoint; needs neither token nor PIN. Exit code 4 names the broken line'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and not __fish_seen_subcommand_from verify show checkpoint export help" -f -a "show" -d 'Print the lines for people'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and not __fish_seen_subcommand_from verify show checkpoint export help" -f -a "checkpoint" -d 'Have the token sign the ledger as it is now. While the signer is stopped'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and not __fish_seen_subcommand_from verify show checkpoint export help" -f -a "export" -d 'Write the whole ledger as one text, for an auditor'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and not __fish_seen_subcommand_from verify show checkpoint export help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from verify" -l key -d 'The public audit key that `init` printed; once for each key the ledger has had' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from verify" -l expect-head -d 'A hash that was noted before; some line must have it, or lines were cut off' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from verify" -l device-log -d 'The token\'s own log, which the ledger\'s `device-log` lines must fit' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from verify" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Answer with one JSON object'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from show" -l last -d 'Only this many of the last lines' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from show" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from show" -l json -d 'Answer with one JSON object a line'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from checkpoint" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from checkpoint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from export" -l out -d 'Write to this file, which must not exist, instead of standard output' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from export" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Check every line, certificate and checkpoint; needs neither token nor PIN. Exit code 4 names the broken line'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print the lines for people'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "checkpoint" -d 'Have the token sign the ledger as it is now. While the signer is stopped'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write the whole ledger as one text, for an auditor'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand gate" -l self-test -d 'Test the vault that often' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand gate" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand gate" -s h -l help -d 'Print help'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand vault" -l generation -d 'How many vaults there were with this one' -r
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand vault" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand vault" -s h -l help -d 'Print help'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand doctor" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand doctor" -l login -d 'Log in too, once, and look at the objects on the token. Without it the PIN is not even read'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand doctor" -l json -d 'Write one JSON object instead of the table'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand check-config" -l config -d 'The configuration' -r -F
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand check-config" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "token" -d 'Prepare the token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "key" -d 'Make, bring or look at keys'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "backup" -d 'Split, check and export the backup of a key'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "restore" -d 'Bring a key back from its backup, to the configured token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "pin" -d 'Change the token\'s PIN'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "serve" -d 'Serve the publisher on the socket'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "init" -d 'Make the ledger, and the audit key on the token by which it is signed. Once, before the first `serve`'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "deny" -d 'Never certify a key again, or anything of an onion. While the signer is stopped'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "request" -d 'Look at a publisher\'s request, or learn whose requests count. Needs no token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "issue" -d 'Sign the certificates that a request asks for: all of them or none'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "bundle" -d 'Check a bundle'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "ceremony" -d 'A whole ceremony, step by step, with a transcript: what is done stays done, whatever happens'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "audit" -d 'Check, show or hand over the ledger'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "gate" -d 'The part of serve that has the socket, the rules and the ledger'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "vault" -d 'The part of serve that has the token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "doctor" -d 'Look at everything that the signer depends on: one line each, OK, WARN or FAIL, and what to do'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "check-config" -d 'Find everything that is wrong with the configuration'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and not __fish_seen_subcommand_from token key backup restore pin serve init deny request issue bundle ceremony audit gate vault doctor check-config help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "init" -d 'Set label, security officer\'s PIN and user PIN of an empty token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "new" -d 'Make a new onion identity on the token'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "import" -d 'Bring the key of a service that exists'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "show" -d 'List the onions on the token, and check each'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from key" -f -a "copy" -d 'Seal a key to a second token too, which another configuration names'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "split" -d 'Wrap a key under a fresh secret and split that among custodians, each of whom types their share back'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "check" -d 'Have one custodian type their share, and say whether it is good. Needs no token; nothing is stored'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "export" -d 'Copy the wrapped key and its verifier, which are useless without enough shares'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from pin" -f -a "change" -d 'Change the user PIN: the old one from the configured source, the new one typed twice'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from request" -f -a "show" -d 'Show what a request asks for and what each rule says. Exit code 3 names the first rule that it breaks'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from request" -f -a "enrol" -d 'From now on take this onion\'s requests from the publisher with this key, and from no other'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from bundle" -f -a "verify" -d 'Check every certificate and the signature. Needs no secret, no token, no network and no configuration. Exit code 4 if anything is wrong'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from ceremony" -f -a "start" -d 'Begin a ceremony in a directory: answer a request, or, with --first alone, prepare token, key and backup'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from ceremony" -f -a "status" -d 'Show which steps are done and what is next. Needs no token. Exit code 9 if a step is left'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from ceremony" -f -a "resume" -d 'Go on after a pause, a mistake or a power cut'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "verify" -d 'Check every line, certificate and checkpoint; needs neither token nor PIN. Exit code 4 names the broken line'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "show" -d 'Print the lines for people'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "checkpoint" -d 'Have the token sign the ledger as it is now. While the signer is stopped'
complete -c onionkeep-signer -n "__fish_onionkeep_signer_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "export" -d 'Write the whole ledger as one text, for an auditor'
