//! A ceremony with the real program and token: request shown, publisher enrolled, bundles issued and verified; what is refused.

use crate::kit::ran::{Ran, first_word};
use crate::kit::serving::{HOUR, clear_of, now};
use crate::kit::{Kit, in_child};
use crate::person::Person;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::{FileDigest, Previous, Purpose, Request, RequestId, RequestKey, Slot, words};
use onionkeep_common::wire::Proof;
use onionkeep_common::{DescSigningKey, OnionAddress, PeriodNumber, PeriodRule, Signature};
use onionkeep_signer::clock::Iso;
use onionkeep_signer::room::BANNER;
use std::path::PathBuf;

mod guided;

/// The publisher's key.
fn publisher() -> SigningKey {
    SigningKey::from_bytes(&[0x77; 32])
}

/// A slot with its proof.
fn slot(onion: &OnionAddress, period: PeriodNumber, seed: u8) -> Slot {
    let secret = SigningKey::from_bytes(&[seed; 32]);
    let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
    let text = Proof::new(onion.identity(), period, 1440, &key);
    Slot { period, key, proof: Signature(secret.sign(text.as_bytes()).to_bytes()) }
}

/// A request for three periods.
fn request(onion: OnionAddress) -> Request {
    let first = PeriodRule::PUBLIC.number_at(now()).0;
    let slots =
        |seed: u8| (0..3).map(|n| slot(&onion, PeriodNumber(first + u64::from(n)), seed + n)).collect();
    Request {
        purpose: Purpose::Real,
        onion,
        id: RequestId([0x22; 16]),
        sequence: 1,
        previous: Previous::First,
        created: now(),
        clockwork: Clockwork::PUBLIC,
        requester: RequestKey(publisher().verifying_key().to_bytes()),
        slots: slots(1),
        standby: slots(101),
    }
}

/// What a right watch shows.
fn watch() -> String {
    let iso = Iso(now()).to_string();
    let (hour, _minutes) = iso.split_once(':').unwrap();
    hour.replace('T', " ")
}

/// The room of a ceremony.
struct Room {
    kit: Kit,
    onion: OnionAddress,
}

impl Room {
    fn path(&self, name: &str) -> PathBuf {
        self.kit.home.join(name)
    }

    /// Runs a command; words that start with `@` are files in the room.
    fn run(&self, arguments: &[&str]) -> Ran {
        let named = |word: &&str| match word.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None => (*word).to_owned(),
        };
        let words: Vec<String> = arguments.iter().map(named).collect();
        self.kit.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Writes a request and gives the words of its digest.
    fn write(&self, name: &str, request: &Request) -> String {
        let file = request.to_file(|text| Signature(publisher().sign(text).to_bytes()));
        std::fs::write(self.path(name), &file).unwrap();
        FileDigest::of(file.as_bytes()).words()
    }

    /// Issues with what a person would confirm.
    fn issue(&self, request: &str, heard: &str, rest: &[&str]) -> Ran {
        self.run(&[&["issue", request, "--watch", &watch(), "--heard", heard], rest].concat())
    }

    /// A command of which a person sees and types everything.
    fn at_the_terminal(&self, arguments: &[&str]) -> Person {
        let path = |word: &&str| word.strip_prefix('@').map(|name| self.path(name).display().to_string());
        let words: Vec<_> = arguments.iter().map(|word| path(word).unwrap_or((*word).to_owned())).collect();
        Person::runs(&self.kit.command(&words.iter().map(String::as_str).collect::<Vec<_>>()))
    }
}

/// A room whose publisher is enrolled.
fn room(kit: Kit) -> Room {
    room_with(kit, &["key", "new"])
}

/// The same with another way to a key.
fn room_with(kit: Kit, key: &[&str]) -> Room {
    clear_of(HOUR);
    let name = kit.init();
    kit.run(&["init"]).good();
    let text = kit.run(key).good().replace(BANNER, "");
    let onion = first_word(&text).parse().unwrap();
    kit.write_config(Some(&name.serial), &[onion], &kit.module);
    let room = Room { kit, onion };
    let key = publisher().verifying_key().to_bytes();
    let hex = data_encoding::HEXLOWER.encode(&key);
    let (enrol, spoken) = (["request", "enrol", "--onion"], words::words(&key[..10]));
    let onion = room.onion.to_string();
    room.run(&[&enrol[..], &[&onion, "--key", &hex, "--heard", "aardvark"]].concat())
        .fails(3, "not confirmed");
    room.run(&[&enrol[..], &[&onion, "--key", "00", "--heard", &spoken]].concat()).fails(2, "64 hex digits");
    let text = room.run(&[&enrol[..], &[&onion, "--key", &hex, "--heard", &spoken]].concat()).good();
    assert!(text.contains("issue --first"), "{text}");
    room
}

#[test]
fn a_request_is_shown_issued_and_verified() {
    fn body(kit: Kit) {
        let room = room(kit);
        let onion = room.onion.to_string();
        let heard = room.write("a.request", &request(room.onion));
        let shown = room.run(&["request", "show", "@a.request", "--first"]).good();
        assert!(shown.contains(&heard) && shown.contains("11 rules kept, 0 broken"), "{shown}");
        room.run(&["request", "show", "@a.request"]).fails(3, "req-chain");
        // What is missing or not confirmed ends before anything is signed.
        let rest = ["-o", "@a.bundle", "--emergency", "@a.spare", "--first"];
        room.issue("@a.request", "aardvark", &rest).fails(3, "Nothing was signed");
        room.issue("@a.request", &heard, &["-o", "@a.bundle", "--first"]).fails(2, "standby keys");
        room.issue("@a.request", &heard, &["-o", "@no/a.bundle", "--emergency", "@a.spare", "--first"])
            .fails(2, "cannot write");
        let wrong = ["issue", "@a.request", "--watch", "2020-01-01 00", "--heard", &heard];
        room.run(&[&wrong[..], &rest].concat()).fails(7, "clock-confirmed");
        assert!(!room.path("a.bundle").exists());

        let issued = room.issue("@a.request", &heard, &rest).good();
        let (bundle, spare) =
            (std::fs::read(room.path("a.bundle")).unwrap(), std::fs::read(room.path("a.spare")).unwrap());
        assert!(issued.contains(&FileDigest::of(&bundle).words()), "{issued}");
        let again = room
            .issue("@a.request", &heard, &["-o", "@b.bundle", "--emergency", "@b.spare", "--first"])
            .good();
        assert!(again.contains("answered before"), "{again}");
        assert_eq!(std::fs::read(room.path("b.bundle")).unwrap(), bundle);
        assert_eq!(std::fs::read(room.path("b.spare")).unwrap(), spare);

        let verify = ["bundle", "verify", "@a.bundle", "--onion"];
        let good = room.run(&[&verify[..], &[&onion, "--request", "@a.request"]].concat()).good();
        assert!(good.contains("159 certificates") && good.ends_with("VALID\n"), "{good}");
        let wrong_key =
            format!("ed25519:{}", data_encoding::HEXLOWER.encode(&publisher().verifying_key().to_bytes()));
        room.run(&[&verify[..], &[&onion, "--auditor", &wrong_key]].concat()).fails(4, "known is");
        room.run(&[&verify[..], &[&onion, "--rehearse"]].concat()).fails(4, "no file of a rehearsal");
        room.run(&["bundle", "verify", "@missing", "--onion", &onion]).fails(4, "cannot read");
        for (what, bad) in [
            ("cut short", bundle[..bundle.len() / 2].to_vec()),
            ("byte order mark", [b"\xef\xbb\xbf".as_slice(), &bundle].concat()),
        ] {
            std::fs::write(room.path("bad.bundle"), bad).unwrap();
            room.run(&["bundle", "verify", "@bad.bundle", "--onion", &onion]).fails(4, what);
        }
        // The ledger is whole, the bundle is in it, and a denied request is refused for ever.
        let ledger = room.run(&["audit", "show"]).good();
        assert!(ledger.contains("bundle") && ledger.contains("checkpoint"), "{ledger}");
        room.run(&["audit", "verify"]).good();
        let mut second = Request { sequence: 2, id: RequestId([0x23; 16]), ..request(room.onion) };
        second.previous = Previous::Bundle(FileDigest::of(&bundle));
        second.standby.clear();
        let first = second.slots[0].period.0;
        second.slots =
            (0..3).map(|n| slot(&room.onion, PeriodNumber(first + u64::from(n)), 50 + n)).collect();
        let heard = room.write("c.request", &second);
        room.run(&["deny", "--request", &second.id.to_string()]).good();
        room.run(&["deny", "--request", "xyz"]).fails(2, "32 hex digits");
        room.issue("@c.request", &heard, &["-o", "@c.bundle"]).fails(3, "req-denied");
        second.id = RequestId([0x24; 16]);
        let heard = room.write("d.request", &second);
        room.issue("@d.request", &heard, &["-o", "@d.bundle"]).good();
    }
    in_child("ceremony::a_request_is_shown_issued_and_verified", body);
}

#[test]
fn bundles_need_two_free_places_and_what_is_denied_later_gets_none() {
    fn body(kit: Kit) {
        let room = room(kit);
        let first = request(room.onion);
        let heard = room.write("a.request", &first);
        let issue = |main: &str, spare: &str| {
            room.issue("@a.request", &heard, &["-o", main, "--emergency", spare, "--first"])
        };
        issue("@a.bundle", "@a.bundle").fails(2, "two places");
        issue("@a.request", "@a.spare").fails(2, "was not touched");
        assert!(!room.run(&["audit", "show"]).good().contains("  request "));
        issue("@a.bundle", "@a.spare").good();
        issue("@b.bundle", "@b.bundle").fails(2, "two places");
        assert!(!room.path("b.bundle").exists());
        // Not by any command, with what a person confirms or without.
        room.run(&["deny", "--request", &first.id.to_string()]).good();
        issue("@b.bundle", "@b.spare").fails(3, "req-denied");
        room.run(&["request", "show", "@a.request"]).fails(3, "req-denied");
        let guided =
            ["ceremony", "start", "@denied", "--request", "@a.request", "--first", "-o", "@b.bundle"];
        room.run(&guided).fails(3, "req-denied");
        assert!(!room.path("b.bundle").exists() && !room.path("b.spare").exists());
    }
    in_child("ceremony::bundles_need_two_free_places_and_what_is_denied_later_gets_none", body);
}

#[test]
fn requests_that_are_not_as_they_should_be_end_with_a_sentence() {
    fn body(kit: Kit) {
        let room = room(kit);
        let good = request(room.onion);
        let show = |name: &str| room.run(&["request", "show", name, "--first"]);
        let altered = |alter: &dyn Fn(&mut Request)| {
            let mut bad = good.clone();
            alter(&mut bad);
            room.write("bad.request", &bad);
            show("@bad.request")
        };
        altered(&|bad| bad.slots[1].proof = bad.slots[0].proof).fails(4, "the proof for its key is wrong");
        altered(&|bad| bad.sequence = 0).fails(3, "req-sequence");
        altered(&|bad| bad.clockwork.run = 43_200).fails(3, "req-clockwork");
        altered(&|bad| bad.created.0 += 86_400).fails(7, "clock-forward");
        altered(&|bad| bad.purpose = Purpose::Rehearsal).fails(3, "req-purpose");
        altered(&|bad| {
            bad.standby.clear();
            let first = bad.slots[0].period.0;
            let at = |n: u8| slot(&bad.onion, PeriodNumber(first + u64::from(n)), 1 + n);
            bad.slots = (0..40).map(at).collect();
        })
        .fails(3, "req-window");
        altered(&|bad| {
            bad.standby.clear();
            bad.slots =
                (0..3).map(|n| slot(&bad.onion, PeriodNumber(bad.slots[0].period.0 + n), 9)).collect();
        })
        .fails(3, "req-fresh");
        let stranger = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion".parse().unwrap();
        room.write("bad.request", &request(stranger));
        show("@bad.request").fails(3, "req-onion");
        let mut other = good.clone();
        other.requester = RequestKey(SigningKey::from_bytes(&[0x78; 32]).verifying_key().to_bytes());
        let file = other.to_file(|text| Signature(SigningKey::from_bytes(&[0x78; 32]).sign(text).to_bytes()));
        std::fs::write(room.path("other.request"), file).unwrap();
        show("@other.request").fails(3, "req-enrolled");
        room.write("good.request", &good);
        let text = std::fs::read_to_string(room.path("good.request")).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let mut swapped = lines.clone();
        swapped.swap(10, 11);
        for (content, words) in [
            (text.replace('\n', "\r\n"), "CR LF"),
            (format!("\u{feff}{text}"), "byte order mark"),
            (lines[..8].concat(), "cut short"),
            (format!("{text}{text}"), "no place"),
            (swapped.concat(), "gap"),
            (String::new(), "empty or cut short"),
        ] {
            std::fs::write(room.path("bad.request"), content).unwrap();
            show("@bad.request").fails(4, words);
        }
        show("@missing").fails(2, "nothing was signed");
    }
    in_child("ceremony::requests_that_are_not_as_they_should_be_end_with_a_sentence", body);
}

#[test]
fn a_rehearsal_says_so_in_every_line_and_stays_one() {
    fn body(kit: Kit) {
        let room = room_with(kit, &["key", "new", "--rehearse"]);
        let heard = room.write(
            "a.request",
            &Request { purpose: Purpose::Rehearsal, standby: Vec::new(), ..request(room.onion) },
        );
        let rest = ["-o", "@a.bundle", "--first", "--rehearse"];
        let shown = room.run(&["request", "show", "@a.request", "--first", "--rehearse"]).good();
        let ran = room.issue("@a.request", &heard, &rest);
        let issued = ran.good();
        for text in [&shown, &issued] {
            assert!(!text.is_empty() && text.lines().all(|line| line.starts_with(BANNER)), "{text}");
        }
        let onion = room.onion.to_string();
        let verify = ["bundle", "verify", "@a.bundle", "--onion", &onion];
        room.run(&verify).fails(4, "practise");
        room.run(&[&verify[..], &["--rehearse"]].concat()).good();
        // From now on this token makes nothing that counts.
        let heard = room.write("b.request", &Request { sequence: 2, ..request(room.onion) });
        let rest = ["-o", "@b.bundle", "--emergency", "@b.spare", "--first"];
        room.issue("@b.request", &heard, &rest).fails(3, "req-purpose");
    }
    in_child("ceremony::a_rehearsal_says_so_in_every_line_and_stays_one", body);
}

#[test]
fn what_was_answered_is_not_answered_otherwise() {
    fn body(kit: Kit) {
        let room = room(kit);
        let first = request(room.onion);
        let heard = room.write("a.request", &first);
        room.issue("@a.request", &heard, &["-o", "@a.bundle", "--emergency", "@a.spare", "--first"]).good();
        let bundle = std::fs::read(room.path("a.bundle")).unwrap();
        let next = Request {
            sequence: 2,
            id: RequestId([0x25; 16]),
            previous: Previous::Bundle(FileDigest::of(&bundle)),
            slots: first
                .slots
                .iter()
                .zip(60..)
                .map(|(old, seed)| slot(&room.onion, old.period, seed))
                .collect(),
            standby: Vec::new(),
            ..first.clone()
        };
        let refused = |alter: &dyn Fn(&mut Request), rule: &str| {
            let mut bad = next.clone();
            alter(&mut bad);
            let heard = room.write("bad.request", &bad);
            room.issue("@bad.request", &heard, &["-o", "@bad.bundle"]).fails(3, rule);
            assert!(!room.path("bad.bundle").exists());
        };
        refused(&|bad| bad.sequence = 1, "req-sequence");
        refused(&|bad| bad.slots = first.slots.clone(), "req-fresh");
        refused(&|bad| bad.previous = Previous::First, "req-chain");
        let heard = room.write("next.request", &next);
        room.issue("@next.request", &heard, &["-o", "@next.bundle"]).good();
    }
    in_child("ceremony::what_was_answered_is_not_answered_otherwise", body);
}
