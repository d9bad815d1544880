//! The operator's guides, executed: every command of `docs/operate/ceremony.md` and of `docs/operate/seized.md`.

use onionkeep_tests::files::{self, RunDir};
use onionkeep_tests::process::User;
use onionkeep_tests::softhsm;
use onionkeep_tests::transcript::{Room, Said, execute};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A document.
fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/operate").join(name)
}

/// A machine with a SoftHSM and no token yet.
struct Desk {
    run: RunDir,
    room: Room,
}

impl Desk {
    fn new() -> Self {
        let mut run = RunDir::new().unwrap();
        run.discard();
        let dir = run.path().to_owned();
        let mut room = Room::new(&dir);
        for (name, here) in [("/media/stick", "stick"), ("/media/safe", "safe")] {
            room.place(name, here).unwrap();
        }
        for name in ["tokens", "publisher"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        let conf = format!(
            "directories.tokendir = {}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
            dir.display()
        );
        std::fs::write(dir.join("softhsm2.conf"), conf).unwrap();
        room.env("SOFTHSM2_CONF", &dir.join("softhsm2.conf"));
        for (name, pin) in [("pin", "71939-user"), ("so-pin", "40815162")] {
            std::fs::write(dir.join(name), pin).unwrap();
            std::fs::set_permissions(dir.join(name), PermissionsExt::from_mode(0o400)).unwrap();
        }
        Self { run, room }
    }

    /// A signer's configuration for a token that does not exist yet.
    fn signer(&self, name: &str, label: &str) {
        let dir = self.run.path();
        let state = dir.join(format!("state-{label}"));
        std::fs::create_dir(&state).unwrap();
        std::fs::set_permissions(&state, PermissionsExt::from_mode(0o700)).unwrap();
        let (dir, module) = (dir.display(), softhsm::module().unwrap());
        let text = format!(
            "state_dir = \"{}\"\nsocket = \"{dir}/{label}.sock\"\nmemory_lock = \"if-possible\"\n[token]\nmodule = \"{}\"\n\
             label = \"{label}\"\npin = \"file:{dir}/pin\"\nso_pin = \"file:{dir}/so-pin\"\n",
            state.display(),
            module.display()
        );
        files::write(&self.run.path().join(name), text, User::Harness, 0o644).unwrap();
    }
}

/// Appends to a file.
fn append(path: &Path, text: &str) {
    let before = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, before + text).unwrap();
}

/// A publisher's configuration for an address.
fn publisher(dir: &Path, name: &str, state: &str, onion: &str) {
    let text = format!(
        "state_dir = \"{0}/{state}\"\nstatus_socket = \"{0}/{state}/status.sock\"\n[tor]\ncontrol = \"127.0.0.1:9051\"\n\
         [[service]]\naddress = \"{onion}\"\nbundles = true\n[[service.backend]]\nname = \"b1\"\n\
         address = \"25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion\"\n",
        dir.display()
    );
    std::fs::write(dir.join(name), text).unwrap();
}

/// The line of an answer that begins so, without its banner.
fn line<'a>(said: &'a Said, start: &str) -> Option<&'a str> {
    said.text
        .lines()
        .map(|line| line.trim_start_matches("REHEARSAL").trim())
        .find(|line| line.starts_with(start))
}

/// What a person does by hand after a command: adds the lines to the configuration that it printed.
fn by_hand(dir: &Path, room: &mut Room, command: &str, said: &Said) {
    if let Some(to) = line(said, "The token ").filter(|line| line.contains("to be added")) {
        let config = to.rsplit(' ').next().unwrap().trim_end_matches(':').to_owned();
        for key in ["serial = ", "manufacturer = ", "model = "] {
            append(&dir.join(&config), &format!("{}\n", line(said, key).unwrap()));
        }
    }
    if let Some(address) = line(said, "address = ") {
        let uid = rustix::process::getuid().as_raw();
        append(&dir.join("rehearsal.toml"), &format!("[[onion]]\n{address}\nuid = {uid}\n"));
        let onion = address.split('"').nth(1).unwrap();
        publisher(dir, "publisher.toml", "publisher", onion);
        room.values.push(("ADDRESS", onion.to_owned()));
    }
    if command.contains("request key") {
        room.values.retain(|(name, _)| *name != "KEY");
        room.values.push(("KEY", said.text.lines().next().unwrap().to_owned()));
    }
}

#[test]
fn every_command_of_the_ceremonys_guide_says_what_stands_there() {
    let mut desk = Desk::new();
    desk.signer("rehearsal.toml", "rehearsal-a");
    desk.signer("second.toml", "rehearsal-b");
    let dir = desk.run.path().to_owned();
    let count = execute(&document("ceremony.md"), &mut desk.room, &mut |room, command, said| {
        by_hand(&dir, room, command, said);
        Ok(())
    })
    .unwrap();
    assert!(count >= 15, "{count} commands");
    // The transcript has what was said and typed, and neither PIN nor share.
    let transcript = std::fs::read_to_string(dir.join("ceremony-0/transcript.log")).unwrap();
    assert!(
        transcript.contains("Type Yes: Yes\n") && transcript.contains("share 3 of 3 is good"),
        "{transcript}"
    );
    assert!(transcript.lines().all(|line| line.starts_with("REHEARSAL") || line == "Yes"), "{transcript}");
    assert!(!transcript.contains("71939-user") && desk.room.shares_in(&transcript) == 0);
    let sheet = std::fs::read_to_string(dir.join("ceremony-0/sheet.txt")).unwrap();
    assert!(sheet.lines().all(|line| line.starts_with("REHEARSAL")) && sheet.contains("witness"), "{sheet}");
}

#[test]
fn every_command_of_the_runbook_for_a_seized_publisher_says_what_stands_there() {
    let mut desk = Desk::new();
    desk.signer("rehearsal.toml", "vault");
    let dir = desk.run.path().to_owned();
    std::fs::create_dir(dir.join("publisher-2")).unwrap();
    // A ceremony that counts, before the seizure: a real one, for a rehearsal's files are refused everywhere.
    let room = &mut desk.room;
    let mut did = |command: &str| {
        let said = room.run(command).unwrap();
        assert_eq!(said.code, 0, "{command}: {}", said.text);
        by_hand(&dir, room, command, &said);
        said
    };
    did("onionkeep-signer --config rehearsal.toml token init");
    did("onionkeep-signer --config rehearsal.toml init");
    did("onionkeep-signer --config rehearsal.toml key new");
    did("onionkeep-publisher --config publisher.toml request key --onion ADDRESS");
    did("onionkeep-signer --config rehearsal.toml request enrol --onion ADDRESS --key KEY");
    let asked = did(
        "onionkeep-publisher --config publisher.toml request new --onion ADDRESS --periods 3 --standby /media/safe/1.standby -o /media/stick/1.request",
    );
    did(
        "onionkeep-signer --config rehearsal.toml ceremony start ceremony-1 --request /media/stick/1.request --first -o /media/stick/1.bundle --emergency /media/safe/1.emergency",
    );
    did("onionkeep-publisher --config publisher.toml bundle import /media/stick/1.bundle");
    did(
        "onionkeep-publisher --config publisher.toml request new --onion ADDRESS --periods 3 -o /media/stick/stolen.request",
    );
    let id = asked.text.split_whitespace().nth(1).unwrap().to_owned();
    room.values.push(("REQUEST", id));
    std::fs::rename(dir.join("rehearsal.toml"), dir.join("signer.toml")).unwrap();
    let onion = room.values.iter().find(|(name, _)| *name == "ADDRESS").unwrap().1.clone();
    publisher(&dir, "new.toml", "publisher-2", &onion);
    let mut denied = String::new();
    let count = execute(&document("seized.md"), room, &mut |room, command, said| {
        by_hand(&dir, room, command, said);
        if command.contains(" deny ") {
            denied.clone_from(&said.text);
        }
        Ok(())
    })
    .unwrap();
    assert!(count >= 9, "{count} commands");
    // The date is the end of the last period's uploads, as the bundle itself says it.
    let bundle = std::fs::read_to_string(dir.join("stick/1.bundle")).unwrap();
    let last = bundle.lines().rfind(|line| line.starts_with("slot ")).unwrap();
    let end = last.split_whitespace().skip_while(|word| *word != "to").nth(1).unwrap();
    assert!(denied.contains(&format!("until {end}: the damage ends then")), "{end}: {denied}");
}
