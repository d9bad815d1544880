//! The wire calls, against the crate's mock. It enforces no right and its log is always empty, so no more than that.

use super::super::device::{ED25519, FACTORY_KEY, FACTORY_PASSWORD, GENERATED, HMAC_SHA256};
use super::super::rights;
use super::*;
use ed25519_dalek::VerifyingKey;

fn session(link: &Link) -> Box<dyn Device> {
    link.open_by(FACTORY_KEY, &Pin::new(FACTORY_PASSWORD)).unwrap()
}

#[test]
fn a_wrong_password_and_an_unknown_key_are_the_password() {
    let link = Link::mock();
    assert_eq!(link.open_by(FACTORY_KEY, &Pin::new("wrong")).err(), Some(Trouble::Password));
}

#[test]
fn root_and_audit_key_are_made_with_the_attributes_that_are_wanted() {
    let link = Link::mock();
    let mut device = session(&link);
    device.generate_hmac(0x6b01, "onionkeep root v1", rights::SIGN_HMAC).unwrap();
    device.generate_ed25519(0x6b02, "onionkeep audit v1", rights::SIGN_EDDSA).unwrap();
    let root = device.info(Kind::Hmac, 0x6b01).unwrap();
    let wanted = |algorithm, capabilities, label: &str| Info {
        algorithm,
        capabilities,
        delegated: 0,
        origin: GENERATED,
        label: label.to_owned(),
    };
    assert_eq!(root, wanted(HMAC_SHA256, rights::SIGN_HMAC, "onionkeep root v1"));
    let audit = device.info(Kind::Asymmetric, 0x6b02).unwrap();
    assert_eq!(audit, wanted(ED25519, rights::SIGN_EDDSA, "onionkeep audit v1"));
    assert_eq!(device.list(Kind::Hmac).unwrap(), [0x6b01]);
    assert_eq!(device.info(Kind::Hmac, 9).err(), Some(Trouble::Missing));
}

#[test]
fn macs_and_signatures_are_what_they_should_be() {
    let link = Link::mock();
    let mut device = session(&link);
    device.generate_hmac(1, "", rights::SIGN_HMAC).unwrap();
    let one = device.sign_hmac(1, b"a").unwrap();
    assert_eq!(one.len(), 32);
    assert_eq!(*one, *device.sign_hmac(1, b"a").unwrap());
    assert_ne!(*one, *device.sign_hmac(1, b"b").unwrap());
    device.generate_ed25519(2, "", rights::SIGN_EDDSA).unwrap();
    let key = VerifyingKey::from_bytes(&device.public_key(2).unwrap()).unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(&device.sign_ed25519(2, b"text").unwrap());
    key.verify_strict(b"text", &signature).unwrap();
    assert!(key.verify_strict(b"other", &signature).is_err());
}

#[test]
fn opaque_objects_are_kept_and_deleted() {
    let link = Link::mock();
    let mut device = session(&link);
    device.put_opaque(0x6b10, "label", b"octets").unwrap();
    assert_eq!(device.get_opaque(0x6b10).unwrap(), b"octets");
    assert_eq!(device.info(Kind::Opaque, 0x6b10).unwrap().label, "label");
    device.delete(Kind::Opaque, 0x6b10).unwrap();
    assert_eq!(device.get_opaque(0x6b10).err(), Some(Trouble::Missing));
    assert!(device.put_opaque(0x6b11, &"x".repeat(41), b"").is_err());
}

#[test]
fn an_authentication_key_opens_a_session_and_the_factorys_can_go() {
    let link = Link::mock();
    let mut device = session(&link);
    let password = Pin::new("a long password of its own");
    let key =
        NewKey { id: 2, label: "serve", capabilities: rights::SERVE, delegated: 0, password: &password };
    device.put_key(&key).unwrap();
    let info = device.info(Kind::Authentication, 2).unwrap();
    assert_eq!((info.capabilities, info.delegated), (rights::SERVE, 0));
    let mut other = link.open_by(2, &password).unwrap();
    other.delete(Kind::Authentication, FACTORY_KEY).unwrap();
    assert_eq!(other.list(Kind::Authentication).unwrap(), [2]);
}

#[test]
fn options_are_set_and_the_empty_log_is_read() {
    let link = Link::mock();
    let mut device = session(&link);
    assert!(!device.is_forced().unwrap());
    for command in super::super::init::LOGGED {
        device.log_for_ever(command).unwrap();
    }
    device.force_for_ever().unwrap();
    assert!(device.is_forced().unwrap());
    assert_eq!(device.log().unwrap(), Page::default());
    device.free_log(1).unwrap();
    assert_eq!(device.serial().unwrap(), "0123456789");
}

#[test]
fn a_device_that_is_not_plugged_in_is_gone() {
    let link = Link::usb("0099999999").unwrap();
    assert!(matches!(link.open_by(2, &Pin::new("x")), Err(Trouble::Gone(_))));
    assert!(Link::usb("1").is_err());
}
