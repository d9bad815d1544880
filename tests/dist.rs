//! Man pages and shell completions in `signer/dist` and `publisher/dist`: made from the command lines, never written by hand.
//!
//! `UPDATE=1 cargo test -p onionkeep-tests --test dist` makes them anew.
#![expect(clippy::unwrap_used, reason = "a test may stop at anything unexpected")]

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use std::path::Path;

/// Exit codes of both programs, as `error.rs` of each gives them.
const EXIT: &str = ".SH \"EXIT STATUS\"
.TP
0
done
.TP
1
an internal failure, or the system refuses
.TP
2
usage or configuration
.TP
3
refused by a rule, which standard error names
.TP
4
a verification failed
.TP
5
token, tor, signer or publisher away: another try may help
.TP
6
PIN or credential: never try again by a script
.TP
7
the clock
.TP
8
the ledger is broken
.TP
9
a warning: `status`, `doctor` and the like found something
.TP
130
ended from the keyboard
";

/// Both programs, with the crate in whose `dist` their files are.
fn programs() -> [(&'static str, Command); 2] {
    [("signer", onionkeep_signer::cli::Cli::command()), ("publisher", onionkeep_publisher::cli::words())]
}

/// All commands that do something, each with its words.
fn leaves(command: &Command, words: &str) -> Vec<(String, Command)> {
    let below = |command: &Command| {
        let name = format!("{words} {}", command.get_name());
        if command.has_subcommands() { leaves(command, &name) } else { vec![(name, command.clone())] }
    };
    command.get_subcommands().filter(|command| !command.is_hide_set()).flat_map(below).collect()
}

/// One page for the whole program: its options, then each command with its own.
fn page(command: &Command) -> String {
    let name = command.get_name().to_owned();
    let (top, mut page) = (Man::new(command.clone().disable_help_subcommand(true)), Vec::new());
    let top = top.section("1").source("onionkeep");
    top.render_title(&mut page).unwrap();
    top.render_name_section(&mut page).unwrap();
    top.render_description_section(&mut page).unwrap();
    top.render_options_section(&mut page).unwrap();
    let mut page = String::from_utf8(page).unwrap();
    for (words, leaf) in leaves(command, &name) {
        let heading = words.strip_prefix(&name).unwrap().trim().to_uppercase();
        page.push_str(&format!(".SH \"{heading}\"\n{}", section(&leaf.bin_name(words.clone()))));
    }
    page.push_str(EXIT);
    page
}

/// What a command has to say for itself. Sections of the program's page are its commands, so that a command has paragraphs.
fn section(leaf: &Command) -> String {
    let leaf = Man::new(leaf.clone().disable_help_flag(true));
    let (mut text, mut example) = (Vec::new(), Vec::new());
    leaf.render_synopsis_section(&mut text).unwrap();
    leaf.render_description_section(&mut text).unwrap();
    leaf.render_options_section(&mut text).unwrap();
    leaf.render_extra_section(&mut example).unwrap();
    let lines = |text: Vec<u8>| -> Vec<String> {
        let text = String::from_utf8(text).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with(".ie ") && !line.starts_with(".el "));
        lines.map(|line| if line.starts_with(".SH ") { ".PP" } else { line.trim_end() }.to_owned()).collect()
    };
    let mut paragraphs = lines(text);
    let example: Vec<_> = lines(example).into_iter().filter(|line| line != ".PP").collect();
    if !example.is_empty() {
        paragraphs.extend([".PP".to_owned(), ".nf".to_owned()]);
        paragraphs.extend(example);
        paragraphs.push(".fi".to_owned());
    }
    // A heading begins a paragraph.
    paragraphs.iter().skip_while(|line| *line == ".PP").map(|line| format!("{line}\n")).collect()
}

/// Every file that belongs into `dist`, with its text.
fn wanted() -> Vec<(String, String)> {
    let mut wanted = Vec::new();
    for (crate_name, command) in programs() {
        let name = command.get_name().to_owned();
        wanted.push((format!("{crate_name}/dist/{name}.1"), page(&command)));
        for (shell, file) in [
            (Shell::Bash, format!("{name}.bash")),
            (Shell::Fish, format!("{name}.fish")),
            (Shell::Zsh, format!("_{name}")),
        ] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command.clone(), &name, &mut text);
            // Some lines end with a space or are empty at the end.
            let text = String::from_utf8(text).unwrap();
            // clap_complete writes a name with a hyphen in two ways, and bash then finds no command below the first word.
            let text = text.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"));
            let lines: Vec<_> = text.lines().map(str::trim_end).collect();
            wanted.push((format!("{crate_name}/dist/{file}"), format!("{}\n", lines.join("\n").trim_end())));
        }
    }
    wanted
}

#[test]
fn man_pages_and_completions_are_those_of_the_command_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut stale = Vec::new();
    for (file, text) in wanted() {
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(root.join(&file), &text).unwrap();
        } else if std::fs::read_to_string(root.join(&file)).unwrap_or_default() != text {
            stale.push(file);
        }
    }
    assert!(stale.is_empty(), "not what the command lines say, UPDATE=1 rewrites them: {stale:?}");
}

#[test]
fn every_command_has_its_section_with_words() {
    for (_crate_name, command) in programs() {
        let (name, page) = (command.get_name().to_owned(), page(&command));
        let leaves = leaves(&command, &name);
        assert!(leaves.len() > 15, "{} commands", leaves.len());
        for (words, leaf) in leaves {
            let heading = words.strip_prefix(&name).unwrap().trim().to_uppercase();
            assert!(page.contains(&format!("\n.SH \"{heading}\"\n")), "{words}");
            assert!(leaf.get_about().is_some(), "{words} says nothing of itself");
        }
    }
}

/// What bash proposes after these words.
fn proposed(program: &str, file: &Path, words: &[&str]) -> String {
    let list: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let mut ends = words.iter().rev();
    let (last, before) = (ends.next().unwrap(), ends.next().unwrap());
    let script = format!(
        "source '{}'; COMP_WORDS=({}); COMP_CWORD={}; _{} {program} '{last}' '{before}'; echo \"${{COMPREPLY[*]}}\"",
        file.display(),
        list.join(" "),
        words.len() - 1,
        program.replace('-', "__")
    );
    let ran = std::process::Command::new("bash")
        .args(["--norc", "-c", &script])
        // It complains of a locale that is not there.
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn bash_proposes_the_words_of_every_command() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (crate_name, command) in programs() {
        let name = command.get_name().to_owned();
        let file = root.join(format!("{crate_name}/dist/{name}.bash"));
        for (words, leaf) in leaves(&command, &name) {
            let mut words: Vec<_> = words.split(' ').collect();
            let wanted = words.pop().unwrap();
            let found = proposed(&name, &file, &[&words[..], &[""]].concat());
            assert!(found.split_whitespace().any(|word| word == wanted), "{words:?} {wanted}: {found}");
            let found = proposed(&name, &file, &[&words[..], &[wanted, "--"]].concat());
            for option in leaf.get_arguments().filter_map(|argument| argument.get_long()) {
                assert!(found.contains(&format!("--{option}")), "{words:?} {wanted} --{option}: {found}");
            }
        }
    }
}
