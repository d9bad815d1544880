//! `torrc frontend` and `torrc backend`: a real tor accepts what they print.

use std::path::Path;

use onionkeep_tests::daemon::{Programs, Ran};
use onionkeep_tests::files::{self, RunDir};
use onionkeep_tests::process::{self, User};

/// A frontend and two backends.
const FRONTEND: &str = "qxfglaltc4ph3pbmw3pdo3vdeye4p4ac64hh7ptnycjvhr2iy6z7igid.onion";
/// See [`FRONTEND`].
const BACKENDS: [&str; 2] = [
    "lgq376thcuwwb6zplgzk7dlbfilcr3us36ws22oofej6dsfiizmsqfad.onion",
    "krlnqdgtxywrtwezor3hgc4lzwcq7tlnwblc534ntu5xpcwku43ra3ad.onion",
];

/// What `torrc WHICH` prints for a configuration whose tor is under `run`.
fn torrc(run: &Path, which: &str) -> String {
    let (programs, place) = (Programs::install(run).unwrap(), run.display());
    let text = format!(
        "state_dir = \"{place}/state\"\nstatus_socket = \"{place}/status.sock\"\n\
         [tor]\ncontrol = \"unix:{place}/control\"\nsocks = \"127.0.0.1:9050\"\n\
         [[service]]\naddress = \"{FRONTEND}\"\nsigner = \"{place}/signer.sock\"\n\
         [[service.backend]]\nname = \"b1\"\naddress = \"{}\"\n\
         [[service.backend]]\nname = \"b2\"\naddress = \"{}\"\n",
        BACKENDS[0], BACKENDS[1]
    );
    let config = run.join("publisher.toml");
    files::write(&config, text, User::Harness, 0o644).unwrap();
    let mut command = process::command(programs.path("onionkeep-publisher"), User::Harness);
    command.arg("--config").arg(&config).args(["torrc", which]);
    Ran::of(command).unwrap().answer().unwrap()
}

/// Whether tor accepts a torrc, and what it says.
fn tor_says(run: &Path, torrc: &str) -> Ran {
    let (path, empty) = (run.join("torrc"), run.join("empty"));
    let text = format!("DataDirectory {}/data\n{torrc}", run.display());
    files::write(&path, text, User::Harness, 0o644).unwrap();
    files::write(&empty, "", User::Harness, 0o644).unwrap();
    let mut command = process::command("tor", User::Harness);
    command.arg("--defaults-torrc").arg(empty).arg("-f").arg(path).arg("--verify-config");
    Ran::of(command).unwrap()
}

/// A directory that only its owner may enter, as tor wants it around a control socket.
fn run_dir() -> RunDir {
    let mut run = RunDir::new().unwrap();
    run.discard();
    files::give(run.path(), User::Harness, 0o700).unwrap();
    run
}

#[test]
fn tor_accepts_the_lines_for_the_publishers_tor() {
    let run = run_dir();
    let lines = torrc(run.path(), "frontend");
    assert!(lines.contains("CookieAuthentication 1"), "{lines}");
    let said = tor_says(run.path(), &lines);
    assert!(said.stdout.contains("Configuration was valid"), "{said:?}");
}

/// What `torrc backend` prints for an address, without a configuration.
fn torrc_of(run: &Path, onion: &str) -> String {
    let programs = Programs::install(run).unwrap();
    let mut command = process::command(programs.path("onionkeep-publisher"), User::Harness);
    command.arg("--config").arg(run.join("none")).args(["torrc", "backend", "--onion", onion]);
    Ran::of(command).unwrap().answer().unwrap()
}

#[test]
fn tor_accepts_the_lines_for_the_backends_with_their_ob_config() {
    let run = run_dir();
    let lines = torrc_of(run.path(), FRONTEND);
    assert_eq!(torrc(run.path(), "backend").replace("b1, b2", "each backend"), lines);
    let is_ob_config = |line: &&str| line.starts_with("MasterOnionAddress ");
    let ob_config: Vec<&str> = lines.lines().filter(is_ob_config).collect();
    assert_eq!(ob_config, [format!("MasterOnionAddress {FRONTEND}")], "{lines}");
    let rest: Vec<&str> = lines.lines().filter(|line| !is_ob_config(line)).collect();
    let old = rest.iter().find_map(|line| line.strip_prefix("HiddenServiceDir ")).unwrap();
    let service = run.path().join("service");
    let rest = rest.join("\n").replace(old, service.to_str().unwrap());
    let at = |wanted: &str| lines.find(wanted).unwrap();
    assert!(
        at("install -d ") < at("MasterOnionAddress") && at("MasterOnionAddress") < at("HiddenServiceDir")
    );
    // As it says: without the file tor refuses the lines.
    let said = tor_says(run.path(), &rest);
    assert!(said.stdout.contains("Unable to read config file") && said.code != 0, "{said:?}");
    files::make_dir(&service, User::Harness, 0o700).unwrap();
    files::write(&service.join("ob_config"), ob_config.join("\n") + "\n", User::Harness, 0o600).unwrap();
    let said = tor_says(run.path(), &rest);
    assert!(said.stdout.contains("Configuration was valid"), "{said:?}");
}
