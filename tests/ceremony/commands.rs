//! The publisher's commands as an operator types them, with the real program: what they say, and with which exit code they end.

use crate::made::{bundle, file, onion};
use onionkeep_common::UnixTime;
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::{FileDigest, Kind, Request};
use onionkeep_tests::clock;
use onionkeep_tests::daemon::{Ran, built};
use onionkeep_tests::wait::{self, HALF_DAY};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Some backend.
const BACKEND: &str = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion";

/// A publisher's machine with its configuration and state; nothing runs.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    /// No period ends, and none begins to be used, while a test works on it.
    fn new() -> Self {
        wait::clear_of(HALF_DAY, 120);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        let text = format!(
            "state_dir = \"{path}/state\"\nstatus_socket = \"{path}/status.sock\"\n\n[tor]\ncontrol = \"unix:{path}/none\"\n\n\
             [[service]]\naddress = \"{}\"\nbundles = true\n[[service.backend]]\nname = \"b1\"\naddress = \"{BACKEND}\"\n",
            onion()
        );
        std::fs::write(dir.path().join("publisher.toml"), text).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a command line.
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(built("onionkeep-publisher").unwrap());
        command.current_dir(self.dir.path()).args(["--config", "publisher.toml"]).args(arguments);
        Ran::of(command).unwrap()
    }

    /// One that must end with this exit code, and say this.
    #[track_caller]
    fn ends(&self, arguments: &[&str], code: i32, says: &[&str]) -> String {
        let ran = self.run(arguments);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, code, "{arguments:?}: {said}");
        for word in says {
            assert!(said.contains(word), "{arguments:?} does not say {word:?}: {said}");
        }
        said
    }

    /// `request new`, and what it wrote.
    #[track_caller]
    fn request(&self, name: &str, extra: &[&str]) -> Vec<u8> {
        let onion = onion().to_string();
        let new = ["request", "new", "--onion", &onion, "-o", name];
        let said = self.ends(&[&new[..], extra].concat(), 0, &["words: "]);
        let octets = std::fs::read(self.path(name)).unwrap();
        assert!(said.contains(&FileDigest::of(&octets).words()), "{said}");
        octets
    }

    /// Lays a file on the medium.
    fn put(&self, name: &str, octets: &[u8]) {
        std::fs::write(self.path(name), octets).unwrap();
    }
}

fn now() -> u64 {
    clock::unix_now()
}

/// The bundle for a request, made at a time.
fn made(request: &[u8], kind: Kind, created: u64) -> Vec<u8> {
    let mut made = bundle(request, kind);
    made.created = UnixTime(created);
    file(&made)
}

/// From now to the end of what a bundle covers, in seconds.
fn left(request: &[u8]) -> u64 {
    let last = Request::parse(request).unwrap().content.slots.last().unwrap().period;
    Clockwork::PUBLIC.span(last.next()).0.since(UnixTime(now()))
}

#[test]
fn from_request_to_retirement() {
    let machine = Machine::new();
    let onion = onion().to_string();
    let key = machine.ends(&["request", "key", "--onion", &onion], 0, &[]);
    assert_eq!(key.lines().next().map(str::len), Some(64), "{key}");
    machine.ends(&["bundle", "status"], 9, &["no bundle is imported"]);
    let request = machine.request("1.request", &["--periods", "4"]);
    machine.ends(&["bundle", "status"], 9, &["awaits its bundle"]);
    let again = ["request", "new", "--onion", &onion, "-o", "2.request"];
    machine.ends(&again, 2, &["is open", "nothing was done", "--replace"]);
    machine.put("1.bundle", &made(&request, Kind::Main, now()));
    let enrolled = ["imported", "audit key enrolled", "number 1", "4 slots, 212 certificates", "words: "];
    machine.ends(&["bundle", "import", "1.bundle"], 0, &enrolled);
    machine.ends(&["bundle", "import", "1.bundle"], 0, &["imported before, nothing changed"]);
    let status = machine.ends(&["bundle", "status"], 0, &["% left, 4 slots with keys"]);
    // Of a bundle that is a second old a whole percent is not left any more.
    assert!([" 100 % left", " 99 % left"].iter().any(|left| status.contains(left)), "{status}");
    let next = machine.request("2.request", &["--periods", "4"]);
    machine.put("2.bundle", &made(&next, Kind::Main, now()));
    let replaced = ["replaces, and keeps as bundle.old, main number 1", "bundle main number 2"];
    machine.ends(&["bundle", "import", "2.bundle"], 0, &replaced);
    machine.ends(&["bundle", "status", "--json"], 0, &["\"sequence\": 2", "\"slots\": 8"]);
    let id = Request::parse(&request).unwrap().content.id.to_string();
    let retired = ["damage-ends 20", &format!("onionkeep-signer deny --request {id}"), "certificates wiped"];
    machine.ends(&["retire", "--onion", &onion, "--all"], 0, &retired);
    machine.ends(&["bundle", "status"], 9, &["no bundle is imported"]);
}

#[test]
fn the_horizon_warns_at_50_25_and_10_percent_and_is_loud_on_the_last_day() {
    // More than the share that is wanted by so many seconds of what is left, so that the test may last as long.
    for (periods, times, slack, says) in [
        (12, 1, 600, "50 % are left"),
        (12, 3, 600, "25 % are left"),
        (12, 9, 600, "10 % are left"),
        (2, 20, 0, "LAST DAY: the bundles end in"),
        (1, 9, 0, "THE BUNDLES ARE OVER"),
    ] {
        let machine = Machine::new();
        let request = machine.request("1.request", &["--periods", &periods.to_string()]);
        let created = now() - times * left(&request) + (times + 1) * slack;
        machine.put("1.bundle", &made(&request, Kind::Main, created));
        machine.ends(&["bundle", "import", "1.bundle"], 0, &["imported"]);
        machine.ends(&["bundle", "status"], 9, &["warning: ", says]);
    }
}

#[test]
fn a_missing_slot_is_said_at_the_import() {
    let machine = Machine::new();
    let in_use = Request::parse(&machine.request("1.request", &["--periods", "1"])).unwrap();
    let from = (in_use.content.slots[0].period.0 + 2).to_string();
    let late = machine.request("2.request", &["--periods", "3", "--from", &from, "--replace"]);
    machine.put("2.bundle", &made(&late, Kind::Main, now()));
    machine.ends(&["bundle", "import", "2.bundle"], 9, &["imported", "WARNING: no slot for 2 periods"]);
    machine.ends(&["bundle", "status"], 9, &["2 periods from", "have no slot or no key"]);
}

#[test]
fn a_bundle_that_is_not_the_right_one_is_refused_with_its_own_sentence() {
    let machine = Machine::new();
    let refuse = |name: &str, octets: &[u8], says: &str| {
        machine.put(name, octets);
        machine.ends(&["bundle", "import", name], 4, &[says, "nothing was imported"]);
    };
    let other = Machine::new().request("0.request", &["--periods", "4"]);
    refuse("none.bundle", &made(&other, Kind::Main, now()), "no request is open here");
    let first = machine.request("1.request", &["--periods", "4"]);
    let good = made(&first, Kind::Main, now());
    refuse("other.bundle", &made(&other, Kind::Main, now()), "the open one is");
    refuse("cut.bundle", &good[..good.len() / 2], "no whole and correct bundle");
    let text = String::from_utf8(good.clone()).unwrap();
    refuse("crlf.bundle", text.replace('\n', "\r\n").as_bytes(), "no whole and correct bundle");
    refuse("bom.bundle", &[b"\xef\xbb\xbf".as_slice(), &good].concat(), "no whole and correct bundle");
    let mut rehearsal = bundle(&first, Kind::Main);
    rehearsal.purpose = onionkeep_common::paper::Purpose::Rehearsal;
    refuse("rehearsal.bundle", &file(&rehearsal), "made in a rehearsal");
    let mut mixed = bundle(&first, Kind::Main);
    mixed.slots[2] = bundle(&other, Kind::Main).slots[2].clone();
    refuse("mixed.bundle", &file(&mixed), "is for another key than the one that was asked for");
    let mut fewer = bundle(&first, Kind::Main);
    fewer.slots.pop();
    refuse("fewer.bundle", &file(&fewer), "the request asked for");
    machine.put("1.bundle", &good);
    machine.ends(&["bundle", "import", "1.bundle"], 0, &["imported"]);
    let second = machine.request("2.request", &["--periods", "4"]);
    machine.put("2.bundle", &made(&second, Kind::Main, now()));
    machine.ends(&["bundle", "import", "2.bundle"], 0, &["imported"]);
    refuse("1.bundle", &good, "it is older");
    let last = Request::parse(&second).unwrap().content.slots[3].period.0;
    let gap = machine.request("3.request", &["--periods", "2", "--from", &(last + 2).to_string()]);
    refuse("gap.bundle", &made(&gap, Kind::Main, now()), "there is a gap");
    machine.ends(&["bundle", "import", "missing.bundle"], 2, &["there is no file"]);
}

#[test]
fn a_lost_publisher_serves_from_its_emergency_bundle() {
    let lost = Machine::new();
    let request = lost.request("1.request", &["--periods", "4", "--standby", "S.standby"]);
    let (main, emergency) = (made(&request, Kind::Main, now()), made(&request, Kind::Emergency, now()));
    let fresh = Machine::new();
    let carry = |name: &str| std::fs::copy(lost.path(name), fresh.path(name)).unwrap();
    carry("S.standby");
    fresh.put("E.bundle", &emergency);
    fresh.put("1.bundle", &main);
    fresh.ends(&["bundle", "import", "1.bundle"], 4, &["no request is open here"]);
    fresh.ends(&["bundle", "import", "E.bundle"], 4, &["emergency bundle", "--keys FILE"]);
    fresh.ends(&["bundle", "import", "E.bundle", "--keys", "S.standby"], 0, &["bundle emergency number 1"]);
    fresh.ends(&["bundle", "status"], 0, &["4 slots with keys"]);
    // The next ceremony begins a new chain, with the key of the new machine.
    let next = fresh.request("2.request", &["--periods", "4"]);
    let next = Request::parse(&next).unwrap().content;
    assert_eq!(next.sequence, 2);
    assert_ne!(next.requester, Request::parse(&request).unwrap().content.requester);
    let wrong = Machine::new();
    wrong.request("1.request", &["--periods", "4", "--standby", "S.standby"]);
    wrong.put("E.bundle", &emergency);
    let keys = ["bundle", "import", "E.bundle", "--keys", "S.standby"];
    wrong.ends(&keys, 4, &["belong to another request"]);
    assert!(Path::new(&wrong.path("S.standby")).exists());
}

#[test]
fn keys_are_sealed_as_the_command_says_or_nothing_is_made() {
    let machine = Machine::new();
    let onion = onion().to_string();
    let new = |seal: &str| {
        let new = ["request", "new", "--onion", &onion, "--periods", "2", "-o", "1.request", "--seal", seal];
        let mut command = Command::new(built("onionkeep-publisher").unwrap());
        command.current_dir(machine.dir.path()).args(["--config", "publisher.toml"]).args(new);
        command.env("SYSTEMD_CREDENTIAL_SECRET", machine.path("machine-secret"));
        Ran::of(command).unwrap()
    };
    let wrong = new("tpm");
    assert_eq!(wrong.code, 2, "{wrong:?}");
    let slots = || {
        let folder = machine.path("state/ceremony").join(onion.trim_end_matches(".onion")).join("slots");
        let files = std::fs::read_dir(folder).into_iter().flatten();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect::<Vec<_>>()
    };
    let sealed = new("host");
    if sealed.code == 0 {
        let slots = slots();
        assert!(slots.len() == 2 && slots.iter().all(|text| text.contains("\nsealed host ")), "{slots:?}");
        return;
    }
    // Where it cannot be done, nothing is left behind.
    println!("systemd-creds cannot seal here: {}", sealed.stderr);
    assert!(
        sealed.stderr.contains("choose another --seal") || sealed.stderr.contains("--seal plain"),
        "{sealed:?}"
    );
    assert!(slots().is_empty() && !machine.path("1.request").exists());
}
