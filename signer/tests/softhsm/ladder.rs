//! The token fails in use: each failure is cured by its step, and a PIN that was refused is never tried again.

use crate::kit::{Kit, PIN, in_child, session, slot};
use cryptoki::context::Pkcs11;
use onionkeep_signer::seal::TokenName;
use onionkeep_signer::token::pkcs11::{Access, Pkcs11Token};
use onionkeep_signer::token::{Token, TokenError};
use std::time::Duration;

/// An open token with a root key, and its HMAC of `x`.
fn ready(kit: &Kit) -> (TokenName, Pkcs11Token, [u8; 32]) {
    let name = kit.init();
    let mut token = kit.open(&name, Access::Write).unwrap();
    token.create_root().unwrap();
    let mac = *token.mac(b"x").unwrap();
    (name, token, mac)
}

fn logged_out(kit: Kit) {
    let (name, mut token, mac) = ready(&kit);
    // A logout in any session logs all of the process out and makes private handles invalid.
    session(&kit.behind(), &name).logout().unwrap();
    assert_eq!(*token.mac(b"x").unwrap(), mac);
}

#[test]
fn a_lost_login_is_had_again() {
    in_child("ladder::a_lost_login_is_had_again", logged_out);
}

fn finalized(kit: Kit) {
    let (_name, mut token, mac) = ready(&kit);
    kit.behind().finalize().unwrap();
    assert_eq!(*token.mac(b"x").unwrap(), mac);
}

#[test]
fn a_finalized_library_is_loaded_again() {
    in_child("ladder::a_finalized_library_is_loaded_again", finalized);
}

fn unplugged(kit: Kit) {
    let (_name, mut token, mac) = ready(&kit);
    let elsewhere = kit.home.join("elsewhere");
    std::fs::rename(kit.tokens(), &elsewhere).unwrap();
    let mut waits = Vec::new();
    for _ in 0..3 {
        match token.mac(b"x") {
            Err(TokenError::Away { retry_after, .. }) => waits.push(retry_after),
            other => panic!("{other:?}"),
        }
    }
    assert!(waits.iter().all(|wait| (1..=2).contains(wait)), "{waits:?}");
    std::fs::rename(&elsewhere, kit.tokens()).unwrap();
    std::thread::sleep(Duration::from_secs(u64::from(waits[2]) + 1));
    assert_eq!(*token.mac(b"x").unwrap(), mac);
}

#[test]
fn an_unplugged_token_is_away_and_comes_back_without_a_restart() {
    in_child("ladder::an_unplugged_token_is_away_and_comes_back_without_a_restart", unplugged);
}

/// Whether the token remembers a wrong PIN since the last right one.
fn pin_was_wrong(library: &Pkcs11, name: &TokenName) -> bool {
    library.get_token_info(slot(library, name)).unwrap().user_pin_count_low()
}

fn changed_pin(kit: Kit) {
    let (name, mut token, _mac) = ready(&kit);
    let library = kit.behind();
    let behind = session(&library, &name);
    behind.set_pin(&PIN.to_owned().into(), &"another-pin".to_owned().into()).unwrap();
    behind.logout().unwrap();
    assert!(matches!(token.mac(b"x"), Err(TokenError::PinIncorrect(_))));
    assert!(pin_was_wrong(&library, &name));
    // A right log-in clears the mark; if the token under test tried its old PIN again, the mark would be back.
    let again = session(&library, &name);
    crate::kit::log_in(&again, "another-pin");
    again.logout().unwrap();
    assert!(!pin_was_wrong(&library, &name));
    for _ in 0..3 {
        assert!(matches!(token.mac(b"x"), Err(TokenError::PinIncorrect(_))));
    }
    assert!(!pin_was_wrong(&library, &name), "the refused PIN was tried again");
}

#[test]
fn a_pin_that_was_changed_meanwhile_is_tried_once() {
    in_child("ladder::a_pin_that_was_changed_meanwhile_is_tried_once", changed_pin);
}

fn wrong_pin(kit: Kit) {
    let name = kit.init();
    kit.write_pin("00000");
    let error = kit.open(&name, Access::Read).err().unwrap();
    assert!(matches!(error, TokenError::PinIncorrect(_)), "{error}");
    kit.write_pin(PIN);
    kit.open(&name, Access::Read).unwrap();
}

#[test]
fn a_wrong_pin_does_not_keep_the_right_one_out() {
    in_child("ladder::a_wrong_pin_does_not_keep_the_right_one_out", wrong_pin);
}
