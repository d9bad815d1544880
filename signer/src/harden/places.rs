//! Which files a vault may use, by its token; the only place with the lists.

use super::sandbox::Role;
use std::path::{Path, PathBuf};

/// What a module that was not measured may read: libraries, settings, and what the kernel shows.
const SYSTEM: [&str; 7] = ["/usr", "/lib", "/lib64", "/etc", "/opt", "/proc", "/sys"];
/// What it may use: devices with the shared memory among them, and the service for card readers.
const DEVICES: [&str; 2] = ["/dev", "/run/pcscd"];
/// What a module uses besides, by a part of its file's name.
const OWN: [(&str, &[&str]); 2] = [
    (
        "opencryptoki",
        &["/var/lib/opencryptoki", "/var/log/opencryptoki", "/run/lock/opencryptoki", "/run/opencryptoki"],
    ),
    ("tpm2_pkcs11", &["/etc/tpm2_pkcs11"]),
];
/// Variables that name a module's file, whose directory it writes to, by a part of the module's file name.
const NAMED_FILE: [(&str, &str); 1] = [("kryoptic", "KRYOPTIC_CONF")];
/// Variables that name a module's directory.
const NAMED_DIR: [(&str, &str); 1] = [("tpm2_pkcs11", "TPM2_PKCS11_STORE")];
/// What libusb reads: the tree of devices.
const USB_READ: [&str; 4] = ["/sys/bus/usb", "/sys/devices", "/sys/class", "/run/udev"];
/// What it uses: the devices.
const USB_WRITE: [&str; 1] = ["/dev/bus/usb"];

/// What may be read, and what may be used.
pub(super) struct Places {
    /// Read.
    pub(super) read: Vec<PathBuf>,
    /// Read and written.
    pub(super) write: Vec<PathBuf>,
}

/// The places of a role.
pub(super) fn of(role: &Role) -> Places {
    let owned = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
    match role {
        Role::Gate(state) => Places { read: Vec::new(), write: vec![state.clone()] },
        Role::SoftHsm { tokens, paths } => Places { read: vec![tokens.clone()], write: paths.clone() },
        Role::Generic(paths) => {
            Places { read: owned(&SYSTEM), write: [owned(&DEVICES), paths.clone()].concat() }
        }
        Role::Usb(paths) => {
            Places { read: owned(&USB_READ), write: [owned(&USB_WRITE), paths.clone()].concat() }
        }
        Role::Connector { paths, .. } => Places { read: Vec::new(), write: paths.clone() },
    }
}

/// What a module uses besides: by our lists and by its variables.
pub(super) fn of_module(module: &Path, variable: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let name = module.file_name().unwrap_or_default().to_string_lossy();
    let listed = OWN.iter().filter(|(part, _)| name.contains(part)).flat_map(|(_, places)| *places);
    let files = NAMED_FILE.iter().filter(|(part, _)| name.contains(part));
    let files = files.filter_map(|(_, key)| Some(variable(key)?.parent()?.to_owned()));
    let dirs = NAMED_DIR.iter().filter(|(part, _)| name.contains(part));
    let dirs = dirs.filter_map(|(_, key)| variable(key));
    listed.map(PathBuf::from).chain(files).chain(dirs).filter(|path| path.is_absolute()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_has_its_own_places_and_no_others() {
        let set = |key: &str| (key == "KRYOPTIC_CONF").then(|| PathBuf::from("/var/lib/k/token.sql"));
        let places = |name: &str| of_module(Path::new(name), set);
        assert_eq!(places("/usr/lib/libkryoptic_pkcs11.so"), [PathBuf::from("/var/lib/k")]);
        assert!(places("/usr/lib/libopencryptoki.so").contains(&PathBuf::from("/var/lib/opencryptoki")));
        assert_eq!(places("/usr/lib/libother.so"), Vec::<PathBuf>::new());
        let relative = |_key: &str| Some(PathBuf::from("store"));
        assert_eq!(of_module(Path::new("libkryoptic.so"), relative), Vec::<PathBuf>::new());
    }

    #[test]
    fn only_an_unmeasured_module_sees_the_settings_and_nobody_sees_all_of_run_var_or_tmp() {
        let roles = [
            Role::Generic(Vec::new()),
            Role::Usb(Vec::new()),
            Role::Connector { port: 1, paths: Vec::new() },
        ];
        for role in roles {
            let Places { read, write } = of(&role);
            let all: Vec<_> = read.iter().chain(&write).collect();
            assert_eq!(
                all.iter().any(|path| path.ends_with("etc")),
                matches!(role, Role::Generic(_)),
                "{role:?}"
            );
            for broad in ["/", "/run", "/var", "/tmp", "/home", "/root"] {
                assert!(!all.iter().any(|path| path.as_path() == Path::new(broad)), "{role:?} {broad}");
            }
        }
    }
}
