//! Names of users and groups to numbers, from `/etc/passwd` and `/etc/group`; the only place that reads those.

use std::path::Path;

/// The uid of a user, by name or number.
#[must_use]
pub(crate) fn uid_of(user: &str) -> Option<u32> {
    user.parse().ok().or_else(|| id_in(&read("/etc/passwd"), user))
}

/// The gid of a group, by name or number.
#[must_use]
pub(crate) fn gid_of(group: &str) -> Option<u32> {
    group.parse().ok().or_else(|| id_in(&read("/etc/group"), group))
}

/// A file's text, empty if it cannot be read.
fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(path)).unwrap_or_default()
}

/// The third field of the line whose first field is `name`.
fn id_in(table: &str, name: &str) -> Option<u32> {
    let mut lines = table.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| {
        let found = fields.next()? == name && !name.is_empty();
        let id = fields.nth(1)?.parse().ok();
        if found { id } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_found() {
        assert_eq!(uid_of("root"), Some(0));
        assert_eq!(gid_of("root"), Some(0));
        assert_eq!(uid_of("4711"), Some(4711));
        assert_eq!(uid_of("no such user"), None);
        assert_eq!(uid_of(""), None);
    }

    #[test]
    fn broken_lines_are_passed_over() {
        let table = "\na:x\nb:x:nan:\nc:x:33:33::/:/\n";
        assert_eq!(id_in(table, "a"), None);
        assert_eq!(id_in(table, "b"), None);
        assert_eq!(id_in(table, "c"), Some(33));
    }
}
