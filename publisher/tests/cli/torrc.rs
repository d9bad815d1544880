//! `torrc`: what it prints, with a configuration and without one.

use super::{FRONTEND, example_text, recorded, run_in, run_on};

#[test]
fn torrc_lines_are_printed_whole() {
    let frontend = run_on(&example_text(), &["torrc", "frontend"]);
    assert_eq!(frontend.code, 0);
    let wanted = "# torrc of the publisher's tor. It runs no onion service of its own.\n\
        ControlSocket unix:/run/tor/control GroupWritable RelaxDirModeCheck\n\
        CookieAuthentication 1\n\
        CookieAuthFileGroupReadable 1\n\
        CookieAuthFile /run/tor/control.authcookie\n\
        SocksPort 127.0.0.1:9050\n\
        # An idle tor would stop following the network.\n\
        DormantCanceledByStartup 1\n";
    assert_eq!(frontend.stdout, wanted);
    let backend = run_on(&example_text(), &["torrc", "backend"]);
    assert_eq!(backend.stdout, backend_lines("b1, b2", &[&format!("{FRONTEND}.onion")]));
}

/// What `torrc backend` prints.
fn backend_lines(names: &str, frontends: &[&str]) -> String {
    let masters: String =
        frontends.iter().map(|frontend| format!("MasterOnionAddress {frontend}\n")).collect();
    format!(
        "# 1. {names}: the folder, of tor's user:\n\
        #    install -d -o debian-tor -g debian-tor -m 0700 /var/lib/tor/onionkeep_backend\n\
        # 2. {names}: the file /var/lib/tor/onionkeep_backend/ob_config, of tor's user, mode 0600, with exactly:\n\
        {masters}\
        # 3. torrc of {names}: these lines, the port line as your application needs it. Then reload tor, or\n\
        #    restart it if it had this folder before: after a reload alone it would turn clients away.\n\
        HiddenServiceDir /var/lib/tor/onionkeep_backend\n\
        HiddenServiceVersion 3\n\
        HiddenServicePort 80 127.0.0.1:80\n\
        HiddenServiceOnionBalanceInstance 1\n\
        # 4. The backend's own address, for publisher.toml: cat /var/lib/tor/onionkeep_backend/hostname\n"
    )
}

#[test]
fn torrc_backend_needs_no_configuration_if_the_frontend_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (format!("{FRONTEND}.onion"), format!("{}.onion", recorded().0));
    let ran = run_in(dir.path(), &["--config", "none.toml", "torrc", "backend", "--onion", &first]);
    assert_eq!((ran.code, ran.stdout), (0, backend_lines("each backend", &[&first])), "{}", ran.stderr);
    let both = ["torrc", "backend", "--onion", &first, "--onion", &second];
    assert_eq!(run_in(dir.path(), &both).stdout, backend_lines("each backend", &[&first, &second]));
    let ran = run_in(dir.path(), &["torrc", "backend", "--onion", "nonsense"]);
    assert!(ran.code == 2 && ran.stderr.starts_with("error: --onion: "), "{}", ran.stderr);
    assert_eq!(run_in(dir.path(), &["--config", "none.toml", "torrc", "backend"]).code, 2);
}
