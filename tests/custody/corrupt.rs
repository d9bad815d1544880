//! A token that gives wrong MACs and wrong signatures: none of it is ever released as if it were right.

use std::path::PathBuf;
use std::process::Command;

use onionkeep_common::{ExpirationHours, OnionAddress, PeriodRule, TimePeriod, UnixTime};
use onionkeep_core::CertTerms;
use onionkeep_signer::pin::PinSource;
use onionkeep_signer::seal::TokenName;
use onionkeep_signer::token::Token;
use onionkeep_signer::token::pkcs11::{Access, Pkcs11Token};
use onionkeep_signer::vault::{Vault, VaultError};
use onionkeep_tests::fault_token::{DIR_VARIABLE, SERIAL};
use onionkeep_tests::{clock, peer};

use crate::kit::{Kit, times};

/// Names the signer's directory to the child that holds the vault, whose environment names the token.
const DIR: &str = "ONIONKEEP_CUSTODY_DIR";

/// Runs one test again in a child whose token is the kit's; gives what it said.
fn in_child(kit: &Kit, test: &str) -> String {
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(DIR, kit.signer.dir())
        .env(DIR_VARIABLE, kit.token().dir())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    said
}

/// The token, logged in, inside the child.
fn token(kit: &std::path::Path, access: Access) -> Pkcs11Token {
    let module = kit.parent().unwrap().join("token/libonionkeep_fault_token.so");
    let name = TokenName { label: "onionkeep-test".to_owned(), serial: SERIAL.to_owned() };
    let pin = PinSource::File(kit.join("pin")).read("PIN").unwrap();
    Pkcs11Token::open(&module, name, pin, access).unwrap()
}

/// How many signatures the token altered so far.
fn altered(kit: &Kit) -> usize {
    kit.token().calls().unwrap().iter().filter(|call| call.code == "CORRUPTS").count()
}

/// The vault itself, asked as often as no policy would let a publisher ask, while one HMAC in a hundred has a wrong bit.
#[test]
fn no_certificate_that_does_not_verify_is_released_while_the_token_alters_one_mac_in_a_hundred() {
    let test = "corrupt::no_certificate_that_does_not_verify_is_released_while_the_token_alters_one_mac_in_a_hundred";
    if let Some(dir) = std::env::var_os(DIR) {
        return certify_many(&PathBuf::from(dir));
    }
    let kit = Kit::new(1);
    kit.faults(&["corrupt on C_Sign:CKM_SHA256_HMAC chance 1/100"]);
    let said = in_child(&kit, test);
    let refused: usize =
        said.lines().find_map(|line| line.strip_prefix("refused ")).unwrap().parse().unwrap();
    println!("{} certificates asked for, {refused} refused, {} MACs altered", times(2000), altered(&kit));
    assert!(refused > 0, "nothing was altered: {said}");
    assert_eq!(refused, altered(&kit), "{said}");
}

/// Asks the vault and judges each certificate; prints how often it refused.
fn certify_many(dir: &std::path::Path) {
    let mut vault = Vault::open(token(dir, Access::Read), &dir.join("state")).unwrap();
    let onion: OnionAddress = vault.show().first().unwrap().onion;
    let mut refused = 0;
    for seed in 0..times(2000) {
        let asked = peer::request(onion, peer::period_now(), peer::seed(seed));
        let period = TimePeriod { number: asked.period, length: PeriodRule::PUBLIC.length };
        let expires = ExpirationHours::of_desc_signing_cert(UnixTime(clock::unix_now()));
        match vault.certify(onion, &CertTerms { period, key: asked.key, expires }) {
            Ok(cert) => peer::check(&asked, &cert).unwrap(),
            Err(VaultError::Seal { .. }) => refused += 1,
            Err(other) => panic!("refused for another reason: {other}"),
        }
    }
    println!("\nrefused {refused}");
}

/// The audit key, which does sign on the token: what checks a checkpoint finds each signature with a wrong bit.
#[test]
fn every_altered_audit_signature_is_found() {
    let test = "corrupt::every_altered_audit_signature_is_found";
    if let Some(dir) = std::env::var_os(DIR) {
        return sign_many(&PathBuf::from(dir));
    }
    let kit = Kit::new(1);
    kit.faults(&["corrupt on C_Sign:CKM_EDDSA chance 1/100"]);
    let said = in_child(&kit, test);
    let refused: usize =
        said.lines().find_map(|line| line.strip_prefix("refused ")).unwrap().parse().unwrap();
    println!("{} signatures asked for, {refused} refused, {} altered", times(2000), altered(&kit));
    assert!(refused > 0, "nothing was altered: {said}");
    assert_eq!(refused, altered(&kit), "{said}");
}

/// Has the token sign and checks each signature; prints how many were not by the key.
fn sign_many(dir: &std::path::Path) {
    let mut token = token(dir, Access::Read);
    let key = token.audit_key().unwrap();
    let mut refused = 0;
    for number in 0..times(2000) {
        let message = number.to_be_bytes();
        let signature = token.sign_audit(&message).unwrap();
        refused += usize::from(key.verify(&message, &signature).is_err());
    }
    println!("\nrefused {refused}");
}

#[test]
fn a_wrong_mac_is_called_a_seal_that_does_not_open() {
    let kit = Kit::new(1);
    kit.faults(&["corrupt on C_Sign:CKM_SHA256_HMAC"]);
    let shown = kit.run(&["key", "show"]);
    assert_ne!(shown.code, 0, "{shown:?}");
    assert!(shown.stdout.contains("NOT GOOD"), "{shown:?}");
    let served = kit.run(&["serve"]);
    crate::kit::assert_fails(&served, crate::kit::code::VERIFICATION, &["the sealed key of"]);
}

#[test]
fn one_wrong_mac_costs_one_request_and_no_key() {
    let kit = Kit::serving(1);
    kit.faults(&["corrupt on C_Sign:CKM_SHA256_HMAC times 1"]);
    let reply = kit.ask(0, 1);
    assert!(!matches!(reply, onionkeep_common::wire::Reply::Certificate(_)), "{reply:?}");
    assert_eq!(altered(&kit), 1);
    kit.serves_again(0, 1);
}

#[test]
fn a_checkpoint_with_a_wrong_signature_never_gets_into_the_ledger() {
    let kit = Kit::new(1);
    let ledger = || kit.run(&["audit", "show"]).answer().unwrap();
    let before = ledger();
    kit.faults(&["corrupt on C_Sign:CKM_EDDSA"]);
    let refused = kit.run(&["audit", "checkpoint"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stderr.contains("signature"), "{refused:?}");
    assert_eq!(ledger(), before);
    kit.token().heal().unwrap();
    kit.run(&["audit", "checkpoint"]).answer().unwrap();
    assert_ne!(ledger(), before, "no checkpoint was taken with a good signature either");
}
