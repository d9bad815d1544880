//! Onionbalance's `config.yaml`: what its words mean, and what of it is not carried over.

use super::yaml::{self, Entry, Node};
use super::{Frontend, ImportError, Imported, Instance, STATUS_SOCKET, plain, read_text};
use onionkeep_common::OnionAddress;
use onionkeep_common::config::{Problem, Problems};
use std::path::{Path, PathBuf};

/// An address of the second version without `.onion` has so many characters.
const OLD_ADDRESS: usize = 16;
/// A name has at most so many characters.
const NAME_MAX: usize = 32;

/// Reads a `config.yaml`.
///
/// # Errors
/// [`ImportError`] with everything that is wrong in it.
pub fn onionbalance(path: &Path) -> Result<Imported, ImportError> {
    let text = read_text(path)?;
    let folder = std::path::absolute(path).ok().and_then(|path| Some(path.parent()?.to_path_buf()));
    read(&text, &folder.unwrap_or_default())
        .map_err(|problems| ImportError::Problems { path: path.to_path_buf(), problems })
}

/// What is gathered while reading.
#[derive(Default)]
struct Findings {
    /// What stops the import.
    problems: Vec<Problem>,
    /// What does not.
    notes: Vec<Problem>,
}

impl Findings {
    /// Notes something that stops the import.
    fn wrong(&mut self, at: &Node, text: impl Into<String>) {
        self.problems.push(at.problem(text));
    }

    /// Notes something that is not carried over.
    fn left(&mut self, line: usize, text: String) {
        self.notes.push(Problem { line, text });
    }

    /// Opens a mapping; keys that are not `known` are noted.
    fn open<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> &'n [Entry] {
        let Some(map) = node.map() else {
            self.wrong(node, format!("{what}: wanted is a mapping, `key: value`"));
            return &[];
        };
        for entry in map.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            self.left(
                entry.line,
                format!("{:?} is not carried over: Onionbalance does not know it either", entry.key),
            );
        }
        map
    }

    /// The text of a key.
    fn text<'n>(&mut self, map: &'n [Entry], key: &str) -> Option<(&'n Node, &'n str)> {
        let node = find(map, key)?;
        let text = node.text().filter(|text| !text.is_empty());
        if text.is_none() {
            self.wrong(node, format!("{key}: wanted is a text that is not empty"));
        }
        Some((node, text?))
    }

    /// The list of a key that must be there and not be empty.
    fn list<'n>(&mut self, at: &Node, map: &'n [Entry], key: &str) -> &'n [Node] {
        match find(map, key).map(|node| (node, node.list())) {
            Some((_node, Some(list))) if !list.is_empty() => return list,
            Some((node, _other)) => self.wrong(node, format!("{key}: wanted is a list that is not empty")),
            None => self.wrong(at, format!("{key} is missing")),
        }
        &[]
    }
}

/// The value of a key.
fn find<'n>(map: &'n [Entry], key: &str) -> Option<&'n Node> {
    map.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

/// Reads the text of a file in `folder`.
pub(super) fn read(text: &str, folder: &Path) -> Result<Imported, Problems> {
    let root = yaml::read(text).map_err(|problem| Problems(vec![problem]))?;
    let mut found = Findings::default();
    let map = found.open(&root, "the file", &["services", "status-socket-location"]);
    let socket = found.text(map, "status-socket-location");
    if let Some((node, path)) = socket {
        if path.starts_with('/') {
            let text = format!(
                "status-socket-location: {path:?} stays Onionbalance's while it runs; ours is {STATUS_SOCKET}"
            );
            found.left(node.line, format!("{text}, with the same fields for programs that read them"));
        } else {
            found.wrong(node, format!("status-socket-location: {path:?} is not an absolute path"));
        }
    }
    let nodes = found.list(&root, map, "services");
    let services: Vec<_> =
        nodes.iter().filter_map(|node| Some((node, service(node, folder, &mut found)?))).collect();
    check_together(&services, &mut found);
    let Findings { mut problems, mut notes } = found;
    notes.sort();
    if !problems.is_empty() {
        problems.sort();
        return Err(Problems(problems));
    }
    let services: Vec<_> = services.into_iter().map(|(_node, service)| service).collect();
    let steps = steps(&services);
    Ok(Imported { status_socket: socket.map(|(_node, path)| PathBuf::from(path)), services, notes, steps })
}

/// Each key serves one frontend, and none is a backend of another.
fn check_together(services: &[(&Node, Frontend)], found: &mut Findings) {
    for (number, (node, service)) in services.iter().enumerate() {
        let same = |(_node, other): &&(&Node, Frontend)| {
            other.key == service.key || other.address.is_some() && other.address == service.address
        };
        if let Some((other, _service)) = services.iter().take(number).find(same) {
            found.wrong(node, format!("key: the service of line {} has it already", other.line));
        }
        let frontend = |backend: &&Instance| {
            services
                .iter()
                .any(|(_node, other)| backend.address.is_some() && other.address == backend.address)
        };
        // That of its own was found before.
        for backend in service.backends.iter().filter(frontend) {
            found.wrong(
                node,
                format!(
                    "instance {:?}: its address is a frontend here, which cannot be a backend",
                    backend.name
                ),
            );
        }
    }
}

/// Reads one service.
fn service(node: &Node, folder: &Path, found: &mut Findings) -> Option<Frontend> {
    let map = found.open(node, "a service", &["key", "instances"]);
    let key = found.text(map, "key").map(|(_node, path)| folder.join(path));
    if find(map, "key").is_none() {
        found.wrong(node, "key is missing");
    }
    let stem = key.as_deref().and_then(Path::file_stem).and_then(|name| name.to_str());
    let address = stem.and_then(|name| format!("{name}.onion").parse::<OnionAddress>().ok());
    let mut backends: Vec<Instance> = Vec::new();
    for node in found.list(node, map, "instances") {
        let Some(instance) = instance(node, &backends, found) else { continue };
        if instance.address == address {
            found.wrong(node, "address: this is the frontend itself, which cannot be its own backend");
        } else if let Some(other) = backends.iter().find(|other| other.address == instance.address) {
            found.left(node.line, format!("the same address as {:?}: listed once", other.name));
        } else {
            backends.push(instance);
        }
    }
    Some(Frontend { address, key: key?, restricted: false, backends })
}

/// Reads one instance.
fn instance(node: &Node, before: &[Instance], found: &mut Findings) -> Option<Instance> {
    let map = found.open(node, "an instance", &["address", "name"]);
    let name = found.text(map, "name").map(|(_node, name)| name.to_owned());
    let Some((at, text)) = found.text(map, "address") else {
        if find(map, "address").is_none() {
            found.wrong(node, "address is missing");
        }
        return None;
    };
    let bare = text.strip_suffix(".onion").unwrap_or(text);
    let address = match format!("{bare}.onion").parse() {
        Ok(address) => address,
        Err(_error) if bare.len() == OLD_ADDRESS => {
            found.wrong(at, "address: this is a version 2 address; tor has not served these since 2021");
            return None;
        }
        Err(error) => {
            found.wrong(at, format!("address: {error}"));
            return None;
        }
    };
    let free = |name: &String| is_name(name) && !before.iter().any(|other| other.name == *name);
    let own = name.as_ref().filter(|name| free(name)).cloned();
    let mut numbers = before.len().saturating_add(1)..;
    let made = || numbers.find_map(|number| Some(format!("node{number}")).filter(free)).unwrap_or_default();
    let given = own.clone().unwrap_or_else(made);
    if let Some(name) = name.filter(|_name| own.is_none()) {
        found.left(
            node.line,
            format!("name: {name:?} cannot be a name here, or is taken: it is {given:?} now"),
        );
    }
    Some(Instance { name: given, address: Some(address) })
}

/// Whether our configuration takes this name.
fn is_name(name: &str) -> bool {
    let good = |symbol: char| symbol.is_ascii_alphanumeric() || "-_.".contains(symbol);
    !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(good)
}

/// What to do next.
fn steps(services: &[Frontend]) -> Vec<String> {
    let mut steps: Vec<_> = services
        .iter()
        .map(|service| format!("on the signer's host: onionkeep-signer key import {}", plain(&service.key)))
        .collect();
    if services.iter().any(|service| service.address.is_none()) {
        steps.push("write the address that it prints into the [[service]] of that key".to_owned());
    }
    steps.extend(
        [
            "see that [tor] control is where Onionbalance found tor: it had that from its command line or environment",
            "choose mode = \"wide\" if as many introduction points as with Onionbalance are to be listed",
            "start this publisher beside Onionbalance, and stop Onionbalance as soon as it logs `taken-over`: every HSDir then holds \
             the new descriptor",
            "the backends stay as they are: their ob_config has the same MasterOnionAddress",
        ]
        .map(str::to_owned),
    );
    steps
}
