# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_onionkeep_publisher_global_optspecs
    string join \n config= h/help V/version
end

function __fish_onionkeep_publisher_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_onionkeep_publisher_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_onionkeep_publisher_using_subcommand
    set -l cmd (__fish_onionkeep_publisher_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -s V -l version -d 'Print version'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -f -a "run" -d 'Run: fetch the backends\' descriptors, publish the frontends\''
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -f -a "status" -d 'Show what a running publisher does; exit code 9 if something needs a look, 5 if none runs'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -f -a "check-config" -d 'Find everything that is wrong in the configuration'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -f -a "compare" -d 'Tell row by row whether a live frontend looks as a plain C tor service does; exit code 4 if something differs'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -f -a "client" -d 'Say who can read the descriptor of a service with `authorized_clients`'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -f -a "import" -d 'Print the configuration for what served an address before; no key is read'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -f -a "reload" -d 'Make a running publisher read its configuration again, as SIGHUP does; exit code 2 if it is wrong and the old one stays'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -f -a "backend" -d 'Change the backends of a running publisher, until the next reload'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -f -a "descriptor" -d 'Look at descriptors'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -f -a "request" -d 'Ask for certificates in advance: the ceremony\'s request'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -f -a "bundle" -d 'Take the certificates of a ceremony, and see how long they last'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -f -a "retire" -d 'Wipe keys for ever, after a seizure or before a machine is given away; exit code 1 if a publisher runs'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_needs_command" -f -a "torrc" -d 'Print torrc lines to install'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand run" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand run" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand status" -l watch -d 'Show it on the terminal until q is typed, anew every 2 or so many seconds' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand status" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand status" -l json -d 'Print the whole document for machines; it has the fields of Onionbalance\'s status too'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand status" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand check-config" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand check-config" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand compare" -l onion -d 'The service, if the configuration has several; any other v3 onion service can be looked at too' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand compare" -l again -d 'Look a second time after so many seconds: needed for all that must stay from upload to upload' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand compare" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand compare" -l json -d 'Print the rows for machines'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand compare" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and not __fish_seen_subcommand_from add list remove" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and not __fish_seen_subcommand_from add list remove" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and not __fish_seen_subcommand_from add list remove" -f -a "add" -d 'Make a key pair, let the client in, and print both halves; the secret one is kept nowhere'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and not __fish_seen_subcommand_from add list remove" -f -a "list" -d 'Show the clients; exit code 9 if a file does not count'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and not __fish_seen_subcommand_from add list remove" -f -a "remove" -d 'Take a client out: the next descriptor, which is uploaded at once, is not for it'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and __fish_seen_subcommand_from add" -l onion -d 'The service, if several let only some clients in' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and __fish_seen_subcommand_from add" -l to -d 'Write the secret half to this new file instead of stdout' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and __fish_seen_subcommand_from add" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and __fish_seen_subcommand_from list" -l onion -d 'The service, if several let only some clients in' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and __fish_seen_subcommand_from list" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and __fish_seen_subcommand_from remove" -l onion -d 'The service, if several let only some clients in' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and __fish_seen_subcommand_from remove" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand client; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand import; and not __fish_seen_subcommand_from onionbalance tor" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand import; and not __fish_seen_subcommand_from onionbalance tor" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand import; and not __fish_seen_subcommand_from onionbalance tor" -f -a "onionbalance" -d 'Onionbalance'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand import; and not __fish_seen_subcommand_from onionbalance tor" -f -a "tor" -d 'A tor with a plain onion service'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand import; and __fish_seen_subcommand_from onionbalance" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand import; and __fish_seen_subcommand_from onionbalance" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand import; and __fish_seen_subcommand_from tor" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand import; and __fish_seen_subcommand_from tor" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand reload" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand reload" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and not __fish_seen_subcommand_from weight drain undrain add remove" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and not __fish_seen_subcommand_from weight drain undrain add remove" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and not __fish_seen_subcommand_from weight drain undrain add remove" -f -a "weight" -d 'Change a backend\'s weight'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and not __fish_seen_subcommand_from weight drain undrain add remove" -f -a "drain" -d 'Send no new clients to a backend; refused if no other one could take them'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and not __fish_seen_subcommand_from weight drain undrain add remove" -f -a "undrain" -d 'Send new clients to a drained backend again'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and not __fish_seen_subcommand_from weight drain undrain add remove" -f -a "add" -d 'Take in a new backend'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and not __fish_seen_subcommand_from weight drain undrain add remove" -f -a "remove" -d 'Forget a backend; refused if no other one could take its clients'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and __fish_seen_subcommand_from weight" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and __fish_seen_subcommand_from weight" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and __fish_seen_subcommand_from drain" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and __fish_seen_subcommand_from drain" -l force -d 'Even if no other backend is up; it then stays listed until one is'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and __fish_seen_subcommand_from drain" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and __fish_seen_subcommand_from undrain" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and __fish_seen_subcommand_from undrain" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and __fish_seen_subcommand_from add" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and __fish_seen_subcommand_from remove" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and __fish_seen_subcommand_from remove" -l force -d 'Even if no other backend is up'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand backend; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand descriptor; and not __fish_seen_subcommand_from show" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand descriptor; and not __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand descriptor; and not __fish_seen_subcommand_from show" -f -a "show" -d 'Decrypt and verify a v3 descriptor and print it as JSON; exit code 4 if it is broken'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand descriptor; and __fish_seen_subcommand_from show" -l onion -d 'The service\'s onion address' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand descriptor; and __fish_seen_subcommand_from show" -l period-minutes -d 'Length of a time period, for test networks' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand descriptor; and __fish_seen_subcommand_from show" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand descriptor; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and not __fish_seen_subcommand_from new key" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and not __fish_seen_subcommand_from new key" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and not __fish_seen_subcommand_from new key" -f -a "new" -d 'Make one key for each period, and the file that asks for their certificates'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and not __fish_seen_subcommand_from new key" -f -a "key" -d 'Print the key that signs this publisher\'s requests, and its words; it is made on first use'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and __fish_seen_subcommand_from new" -l onion -d 'The frontend' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and __fish_seen_subcommand_from new" -l periods -d 'How many periods; as many as reach 30 periods from now if not given' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and __fish_seen_subcommand_from new" -l from -d 'The first period; the one after the last bundle\'s, or the one in use, if not given' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and __fish_seen_subcommand_from new" -l standby -d 'Make standby keys too, and write their private halves to this file, which belongs into a safe' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and __fish_seen_subcommand_from new" -l seal -d 'What seals the private halves to this machine: plain (nothing), host, tpm2 or host+tpm2, by systemd-creds' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and __fish_seen_subcommand_from new" -s o -l output -d 'Where the request goes' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and __fish_seen_subcommand_from new" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and __fish_seen_subcommand_from new" -l replace -d 'Give up the request that is open: its keys are wiped and its bundle will be worth nothing'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and __fish_seen_subcommand_from key" -l onion -d 'The frontend' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and __fish_seen_subcommand_from key" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand request; and __fish_seen_subcommand_from key" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand bundle; and not __fish_seen_subcommand_from import status" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand bundle; and not __fish_seen_subcommand_from import status" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand bundle; and not __fish_seen_subcommand_from import status" -f -a "import" -d 'Take the certificates of a ceremony; exit code 4 if anything about them is wrong'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand bundle; and not __fish_seen_subcommand_from import status" -f -a "status" -d 'Show how long the bundles last; exit code 9 from half of their time on'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand bundle; and __fish_seen_subcommand_from import" -l keys -d 'The file of standby keys, for an emergency bundle' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand bundle; and __fish_seen_subcommand_from import" -l seal -d 'What seals standby keys to this machine: plain (nothing), host, tpm2 or host+tpm2, by systemd-creds' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand bundle; and __fish_seen_subcommand_from import" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand bundle; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand bundle; and __fish_seen_subcommand_from status" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand bundle; and __fish_seen_subcommand_from status" -l json -d 'Print it for machines'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand bundle; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand retire" -l onion -d 'The frontend' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand retire" -l slots -d 'The periods, the last one included' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand retire" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand retire" -l all -d 'All keys, and their certificates'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand retire" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand torrc; and not __fish_seen_subcommand_from frontend backend" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand torrc; and not __fish_seen_subcommand_from frontend backend" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand torrc; and not __fish_seen_subcommand_from frontend backend" -f -a "frontend" -d 'The lines for the publisher\'s tor'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand torrc; and not __fish_seen_subcommand_from frontend backend" -f -a "backend" -d 'The lines and the `ob_config` file for the backends'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand torrc; and __fish_seen_subcommand_from frontend" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand torrc; and __fish_seen_subcommand_from frontend" -s h -l help -d 'Print help'
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand torrc; and __fish_seen_subcommand_from backend" -l onion -d 'The frontend, more than once if it has several; no configuration is read then' -r
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand torrc; and __fish_seen_subcommand_from backend" -l config -d 'The configuration file' -r -F
complete -c onionkeep-publisher -n "__fish_onionkeep_publisher_using_subcommand torrc; and __fish_seen_subcommand_from backend" -s h -l help -d 'Print help'
