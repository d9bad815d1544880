//! `ceremony start` and `resume`: steps done once, confirmed by a person, gone on with after a slip, a full medium or a stop.

use super::*;
use crate::drill::{second, takes};

/// A watch that is years off, words that differ and a slip end a ceremony; nothing is signed, and it goes on.
fn slips(room: &Room, start: &[&str], resume: &[&str], heard: &str) {
    let mut person = room.at_the_terminal(start);
    person.reads("as in 2026-11-22 16: ");
    person.types("2020-01-01 00");
    person.leaves().0.fails(7, "clock-confirmed");
    let mut person = room.at_the_terminal(resume);
    person.reads("as in 2026-11-22 16: ");
    person.types(&watch());
    person.reads(heard);
    person.reads("Type Yes: ");
    person.types("yes");
    person.leaves().0.fails(3, "not confirmed");
    let mut person = room.at_the_terminal(resume);
    person.reads("as in 2026-11-22 16: ");
    person.types(&watch());
    person.reads("Type Yes: ");
    person.types("Yes");
    person.reads("Type exactly Issue 1: ");
    person.types("Issue 2");
    person.leaves().0.fails(3, "was not typed");
}

#[test]
fn a_guided_ceremony_goes_on_where_it_stopped() {
    fn body(kit: Kit) {
        let room = room(kit);
        let heard = room.write("a.request", &request(room.onion));
        let start = ["ceremony", "start", "@c1", "--request", "@a.request", "--first"];
        let resume = ["ceremony", "resume", "@c1"];
        room.run(&resume).fails(2, "there is no ceremony");
        room.run(&["ceremony", "start", "@c1", "--first"]).fails(2, "second token");
        room.run(&["ceremony", "start", "@c1", "--request", "@missing"]).fails(2, "nothing was signed");
        slips(&room, &start, &resume, &heard);
        assert!(!room.path("c1/1.bundle").exists());
        assert!(!room.run(&["audit", "show"]).good().contains("  request "));
        let status = room.run(&["ceremony", "status", "@c1"]);
        assert_eq!(status.code, Some(9), "{status:?}");
        assert!(status.stdout.contains("request     done") && status.stdout.contains("issue       to do"));
        // The words were confirmed; clock and exact sentence are asked again.
        let mut person = room.at_the_terminal(&resume);
        person.reads("as in 2026-11-22 16: ");
        person.types(&watch());
        person.reads("Type exactly Issue 1: ");
        person.types("Issue 1");
        let (ran, seen) = person.leaves();
        assert!(ran.stdout.contains("words were confirmed") && !seen.contains("Type Yes"), "{ran:?}");
        assert!(ran.good().contains("Next ceremony by "));
        room.run(&["ceremony", "status", "@c1"]).good();
        let bundle = std::fs::read(room.path("c1/1.bundle")).unwrap();
        // All of it is in the transcript, what was typed too.
        let transcript = std::fs::read_to_string(room.path("c1/transcript.log")).unwrap();
        for words in [
            watch().split_at(10).0,
            "Issue 2",
            "was not typed",
            &FileDigest::of(&bundle).words(),
            "step 8 of 8",
        ] {
            assert!(transcript.contains(words), "{words}: {transcript}");
        }
        // Another directory, the same request: the same octets, without the token.
        room.kit.write_pin("wrong-pin-17");
        std::fs::remove_file(room.path("c1/1.bundle")).unwrap();
        room.run(&resume).good();
        assert_eq!(std::fs::read(room.path("c1/1.bundle")).unwrap(), bundle);
        room.run(&["ceremony", "start", "@c2", "--request", "@a.request", "--first"]).fails(6, "PIN");
        assert_eq!(std::fs::read(room.path("c2/1.bundle")).unwrap(), bundle);
        room.write("b.request", &Request { sequence: 2, ..request(room.onion) });
        room.run(&["ceremony", "start", "@c1", "--request", "@b.request"]).fails(3, "another ceremony");
    }
    in_child("ceremony::guided::a_guided_ceremony_goes_on_where_it_stopped", body);
}

#[test]
fn a_medium_that_is_full_or_gone_ends_with_a_sentence_and_the_same_octets_later() {
    fn body(kit: Kit) {
        let room = room(kit);
        let heard = room.write("a.request", &request(room.onion));
        let (watch, stick) = (watch(), room.path("stick"));
        std::fs::create_dir(&stick).unwrap();
        let confirmed = ["--watch", &watch, "--heard", &heard];
        let start =
            ["ceremony", "start", "@c", "--request", "@a.request", "--first", "-o", "@stick/a.bundle"];
        // Pulled out before: nothing is signed.
        std::fs::remove_dir(&stick).unwrap();
        room.run(&[&start[..], &confirmed].concat()).fails(2, "no part of it was left there");
        assert!(!room.run(&["audit", "show"]).good().contains("  request "));
        // Nor with something else in the place of the file.
        std::fs::create_dir_all(stick.join("a.bundle")).unwrap();
        room.run(&[&["ceremony", "resume", "@c"], &confirmed[..]].concat()).fails(2, "was not touched");
        assert!(!room.run(&["audit", "show"]).good().contains("  request "));
        std::fs::remove_dir(stick.join("a.bundle")).unwrap();
        // Pulled out at the last moment: all is signed and kept.
        let mut person = room.at_the_terminal(&["ceremony", "resume", "@c"]);
        person.reads("as in 2026-11-22 16: ");
        person.types(&watch);
        person.reads("Type Yes: ");
        person.types("Yes");
        person.reads("Type exactly Issue 1: ");
        std::fs::remove_dir(&stick).unwrap();
        person.types("Issue 1");
        person.leaves().0.fails(2, "what was signed is kept");
        assert!(room.run(&["audit", "show"]).good().contains("  bundle "));
        std::fs::create_dir(&stick).unwrap();
        room.run(&["ceremony", "resume", "@c"]).good();
        let bundle = std::fs::read(stick.join("a.bundle")).unwrap();
        let kept = room.kit.state().join("ceremony").join(FileDigest::of(&bundle).to_string());
        assert_eq!(std::fs::read(kept).unwrap(), bundle);
        assert_eq!(std::fs::read_dir(&stick).unwrap().count(), 1, "a temporary file was left");
    }
    in_child(
        "ceremony::guided::a_medium_that_is_full_or_gone_ends_with_a_sentence_and_the_same_octets_later",
        body,
    );
}

#[test]
fn a_first_ceremony_stops_where_somebody_stops_it_and_keeps_rehearsals_apart() {
    fn body(kit: Kit) {
        let room = room(kit);
        let onion = room.onion.to_string();
        std::fs::copy(room.path("signer.toml"), room.path("second.toml")).unwrap();
        let (watch, second) = (watch(), ["--second", "@second.toml"]);
        let start = |dir: &'static str, rest: &[&str]| {
            let words = ["ceremony", "start", dir, "--first", "--watch", &watch];
            room.run(&[&words[..], &second, rest].concat())
        };
        // Real addresses, tokens and keys are nothing for a rehearsal.
        start("@r1", &["--rehearse"]).fails(3, "counts: addresses of a rehearsal begin with dry");
        let name = std::fs::read_to_string(room.path("signer.toml")).unwrap();
        let without: String =
            name.split_inclusive('\n').take_while(|line| !line.starts_with("[[onion]]")).collect();
        std::fs::write(room.path("signer.toml"), &without).unwrap();
        start("@r2", &["--rehearse"]).fails(3, "which counts");
        start("@r3", &["--rehearse", "--erase", "00"]).fails(3, "erases no token");
        std::fs::write(room.path("signer.toml"), &name).unwrap();
        start("@r4", &["--shares", "3", "--threshold", "1"]).fails(2, "threshold");
        // What was done by hand is seen; nobody types a share, so there is no backup.
        let command = ["ceremony", "start", "@c0", "--first", "--onion", &onion, "--watch", &watch];
        let mut person = room.at_the_terminal(&[&command[..], &second].concat());
        person.reads("press Enter: ");
        person.interrupts();
        let (ran, _seen) = person.leaves();
        ran.fails(130, "terminal");
        assert!(ran.stdout.contains("its key is sealed to the token, and opens"), "{ran:?}");
        let status = room.run(&["ceremony", "status", "@c0"]);
        assert!(status.stdout.contains("key         done") && status.stdout.contains("backup      to do"));
        assert!(!room.run(&["audit", "show"]).good().contains("  backup "));
    }
    in_child(
        "ceremony::guided::a_first_ceremony_stops_where_somebody_stops_it_and_keeps_rehearsals_apart",
        body,
    );
}

/// A first ceremony to its end, whose second token has the key before or not; returns the sheet.
fn first_to_its_end(kit: Kit, before: bool) -> String {
    let room = room(kit);
    let onion = room.onion.to_string();
    let to = second(&room.kit);
    if before {
        room.run(&["key", "copy", "--onion", &onion, "--to", to.to_str().unwrap()]).good();
    }
    let watch = watch();
    let start = ["ceremony", "start", "@c0", "--first", "--onion", &onion, "--second", "@second.toml"];
    let rest = ["--shares", "2", "--threshold", "2", "--watch", &watch];
    let mut people = room.at_the_terminal(&[&start[..], &rest].concat());
    let shares = [1, 2].map(|custodian| takes(&mut people, custodian, 2));
    for (share, prompt) in shares.iter().zip(["share 1 of 2: ", "share 2 of 2: "]) {
        people.reads(prompt);
        people.types(share);
    }
    let said = people.leaves().0.good();
    assert_eq!(said.contains("was there before"), before, "{said}");
    // They are not asked for again.
    room.run(&["ceremony", "resume", "@c0", "--watch", &watch]).good();
    std::fs::read_to_string(room.path("c0/sheet.txt")).unwrap()
}

#[test]
fn a_second_token_that_had_the_key_is_not_attested_to_be_restored() {
    fn body(kit: Kit) {
        let sheet = first_to_its_end(kit, true);
        assert!(sheet.contains("NOT restored") && sheet.contains("that the shares open the key"), "{sheet}");
        assert!(!sheet.contains("seen that the second token, restored"), "{sheet}");
    }
    in_child("ceremony::guided::a_second_token_that_had_the_key_is_not_attested_to_be_restored", body);
}

#[test]
fn a_second_token_that_got_the_key_from_the_shares_is_attested_to_be_restored() {
    fn body(kit: Kit) {
        let sheet = first_to_its_end(kit, false);
        assert!(sheet.contains("seen that the second token, restored from the shares"), "{sheet}");
    }
    in_child(
        "ceremony::guided::a_second_token_that_got_the_key_from_the_shares_is_attested_to_be_restored",
        body,
    );
}
