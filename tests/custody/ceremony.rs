//! A token that goes away in the middle of a ceremony: no bundle, a sentence, and `ceremony resume` ends it.

use crate::kit::{Kit, assert_fails, code};
use onionkeep_common::paper::{Previous, Purpose};
use onionkeep_signer::ceremony::check::{self, Wanted};
use onionkeep_tests::assurance::ceremonies::{Publisher, watch};
use onionkeep_tests::files;
use onionkeep_tests::process::User;

#[test]
fn a_token_that_is_pulled_out_leaves_no_bundle_and_resume_ends_it() {
    let kit = Kit::new(1);
    let (onion, dir) = (kit.onions[0], kit.signer.dir());
    let publisher = Publisher::enrolled(&kit.signer, onion).unwrap();
    let (file, heard) = publisher.request(1, Previous::First);
    let request = dir.join("a.request");
    files::write(&request, &file, User::Signer, 0o600).unwrap();
    let ceremonies = dir.join("ceremonies");
    files::make_dir(&ceremonies, User::Signer, 0o700).unwrap();
    let at = ceremonies.join("c1");
    let (at_text, request_text, watch) = (at.display().to_string(), request.display().to_string(), watch());
    let said = ["--watch", &watch, "--heard", &heard];
    let start = ["ceremony", "start", &at_text, "--request", &request_text, "--first"];
    let resume = ["ceremony", "resume", &at_text];
    let mut pulled = 0;
    // Unlock, ladders and each signature of a bundle are one call each; the checkpoint's comes when the bundles are out.
    for at_call in 1..=8 {
        kit.faults(&[&format!("removed on C_Sign at {at_call}")]);
        let command = if at.join("plan").exists() { &resume[..] } else { &start[..] };
        let ran = kit.run(&[command, &said].concat());
        if ran.code == 0 {
            break;
        }
        pulled += 1;
        assert_fails(&ran, code::AWAY, &[]);
        if at.join("1.bundle").exists() {
            assert!(at.join("1.emergency").exists() && ran.stdout.contains("checkpoint"), "{ran:?}");
        } else {
            let kept = dir.join("state/ceremony");
            assert!(
                !kept.exists() || std::fs::read_dir(kept).unwrap().count() == 0,
                "half an answer is kept"
            );
        }
    }
    assert!(pulled >= 4, "the token was pulled out only {pulled} times");
    kit.token().heal().unwrap();
    kit.run(&[&resume[..], &said].concat()).answer().unwrap();
    let bundle = std::fs::read(at.join("1.bundle")).unwrap();
    let wanted = Wanted { onion, request: Some(&file), auditor: None, purpose: Purpose::Real };
    check::bundle(&bundle, &wanted).unwrap();
    assert_eq!(kit.token().tries_left().unwrap(), 3, "a try of the PIN was lost");
}
