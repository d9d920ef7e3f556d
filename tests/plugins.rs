//! The plugins folder as a user meets it: what is listed, which name means what, what is cached, what a change does.

#![allow(clippy::unwrap_used, reason = "a test that cannot run has failed")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than any step takes on a busy machine; reached only when a test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// `lossbox …` in an empty folder, with its own key, and a cache that the tests share.
struct Lossbox {
    folder: TempDir,
    cache: PathBuf,
}

impl Lossbox {
    fn new() -> Self {
        Lossbox {
            folder: tempfile::tempdir().unwrap(),
            cache: Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lossbox-under-test"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("LOSSBOX_CACHE", &self.cache)
            .env("XDG_STATE_HOME", state())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn list(&self) -> Vec<Value> {
        let output = self.run(&["plugins", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let list = json_of(&output);
        list["plugins"].as_array().unwrap().clone()
    }
}

/// Where the tests' key is: entries of an earlier run are readable in the next.
fn state() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("state")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json_of(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {}", stderr(output)))
}

/// The row of this plugin; `form` tells those of one name apart.
fn row<'a>(rows: &'a [Value], name: &str, form: &str) -> &'a Value {
    rows.iter()
        .find(|row| row["name"] == name && row["form"] == form)
        .unwrap_or_else(|| panic!("no {form} {name} in {rows:?}"))
}

/// A loss of this name; `factor` makes another content.
fn loss(name: &str, factor: f64) -> String {
    format!(
        "use guest_sdk::prelude::*;\n\n\
         pair_loss! {{\n    name: \"{name}\",\n    summary: \"a loss\",\n    \
         hyperparameters: {{ beta: 0.1 in 0.001..=10.0 }},\n}}\n\n\
         fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {{\n    \
         -({factor:?} * hp.beta * pair.logratio_margin()).log_sigmoid()\n}}\n"
    )
}

const THIEF: &str = "const STOLEN: &str = include_str!(\"/etc/hostname\");\n";

#[test]
fn everything_in_the_folder_is_listed_with_its_verdict_and_rejections_are_no_failure() {
    let lossbox = Lossbox::new();
    lossbox.write("plugins/mine.rs", &loss("mine", 1.0));
    lossbox.write("plugins/dpo.rs", &loss("dpo", 2.0));
    lossbox.write("plugins/thief.rs", THIEF);
    lossbox.write("plugins/generated/winner.rs", &loss("winner", 3.0));
    lossbox.write("plugins/junk.wasm", "junk");
    lossbox.write("plugins/mine.wasm", "junk");
    lossbox.write("plugins/README.md", "not a plugin");
    lossbox.write("plugins/crate/Cargo.toml", "");
    lossbox.write("plugins/crate/build.rs", "fn main() {}");
    let rows = lossbox.list();

    let mine = row(&rows, "mine", "file");
    assert_eq!(mine["kind"], "user");
    assert_eq!(mine["verdict"], "accepted", "{mine}");
    assert_eq!(mine["scope"], "pair");
    assert_eq!(mine["n_warnings"], 0);
    assert_eq!(mine["hyperparameters"][0]["name"], "beta");
    assert_eq!(mine["hyperparameters"][0]["default"], 0.1);
    assert_eq!(mine["hyperparameters"][0]["minimum"], 0.001);
    assert_eq!(mine["hyperparameters"][0]["maximum"], 10.0);
    assert_eq!(mine["hash"].as_str().unwrap().len(), 64);
    assert_eq!(mine["source_hash"].as_str().unwrap().len(), 64);
    assert_eq!(mine["id"].as_str().unwrap().len(), 16);
    assert_eq!(mine["shadows"][0], "plugins/mine.wasm");
    let shadowed = row(&rows, "mine", "component");
    assert_eq!(shadowed["shadowed_by"], "plugins/mine.rs");

    let thief = row(&rows, "thief", "file");
    assert_eq!(thief["verdict"], "rejected");
    assert_eq!(thief["stage"], "source");
    assert_eq!(thief["rule"], "source/no-include");
    assert!(!thief["message"].as_str().unwrap().is_empty());
    assert!(thief["hash"].is_null());
    assert_eq!(row(&rows, "junk", "component")["rule"], "component/valid");
    assert_eq!(row(&rows, "crate", "crate")["rule"], "source/crate-layout");
    assert_eq!(row(&rows, "winner", "generated")["kind"], "generated");
    assert_eq!(row(&rows, "winner", "generated")["verdict"], "accepted");

    let shadowing = row(&rows, "dpo", "file");
    assert_eq!(shadowing["kind"], "user");
    assert_eq!(shadowing["shadows"][0], "the built-in dpo");
    let n_dpo = rows.iter().filter(|row| row["name"] == "dpo").count();
    assert_eq!(n_dpo, 1, "nothing reaches the built-in one");
    let ipo = row(&rows, "ipo", "built-in");
    assert_eq!(ipo["kind"], "built-in");
    assert_eq!(ipo["verdict"], "accepted");
    assert!(row(&rows, "discopop", "built-in")["n_warnings"].as_u64() >= Some(1));

    let text = lossbox.run(&["plugins"]);
    assert_eq!(text.status.code(), Some(0));
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    let hash = mine["hash"].as_str().unwrap();
    assert!(text.contains(&format!("mine@{}", &hash[..12])), "{text}");
    assert!(text.contains("thief rejected at source by source/no-include"), "{text}");
    assert!(text.contains("plugins/dpo.rs shadows the built-in dpo"), "{text}");
}

#[test]
fn a_name_with_a_hash_means_this_content_and_no_other() {
    let lossbox = Lossbox::new();
    lossbox.write("plugins/mine.rs", &loss("mine", 1.0));
    lossbox.write(
        "pairs.json",
        r#"{"policy_chosen_logps": [-10.0], "policy_rejected_logps": [-12.0],
            "reference_chosen_logps": [-11.0], "reference_rejected_logps": [-11.0],
            "chosen_tokens": [5], "rejected_tokens": [6]}"#,
    );
    let audited = json_of(&lossbox.run(&["audit", "mine", "--json"]));
    assert_eq!(audited["name"], "mine");
    for hash in ["hash", "source_hash", "id"] {
        let digits = audited[hash].as_str().unwrap();
        for digits in [digits, &digits[..8]] {
            let named = format!("mine@{digits}");
            let output = lossbox.run(&["call", &named, "--pairs", "pairs.json", "--json"]);
            assert_eq!(output.status.code(), Some(0), "{named}: {}", stderr(&output));
            let answer = json_of(&output);
            assert_eq!(answer["name"], "mine");
            assert_eq!(answer["hash"], audited["hash"]);
        }
    }
    let named = format!("mine@{}", audited["hash"].as_str().unwrap());
    lossbox.write("plugins/mine.rs", &loss("mine", 2.0));
    for arguments in [
        vec!["audit", &named],
        vec!["build", &named],
        vec!["call", &named, "--pairs", "pairs.json"],
        vec!["train", "--loss", &named, "--steps", "1"],
    ] {
        let output = lossbox.run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let expected = format!("plugins/mine.rs is not {named}: its hashes are component ");
        assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    }
    assert!(!lossbox.path("mine.wasm").exists());
    let output = lossbox.run(&["audit", "mine@latest"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("not the beginning of a hash"), "{}", stderr(&output));
    // A rejected plugin is known by its source.
    lossbox.write("plugins/thief.rs", THIEF);
    let rejected = json_of(&lossbox.run(&["audit", "thief", "--json"]));
    let named = format!("thief@{}", rejected["source_hash"].as_str().unwrap());
    assert_eq!(lossbox.run(&["audit", &named]).status.code(), Some(1));
    let output = lossbox.run(&["audit", "thief@00000000"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

/// Whatever became of it, its author learns which content that was, and a build by hand can be compared.
#[test]
fn a_rejected_component_is_shown_as_far_as_it_is_known() {
    let lossbox = Lossbox::new();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/sandbox/tests/hostile");
    let text = fs::read_to_string(corpus.join("e03_inf.rs")).unwrap();
    lossbox.write("plugins/infinite.rs", &text);
    lossbox.write("plugins/junk.wasm", "junk");
    let probed = json_of(&lossbox.run(&["audit", "infinite", "--json"]));
    assert_eq!(probed["stage"], "probe", "{probed}");
    assert_eq!(probed["hash"].as_str().unwrap().len(), 64);
    assert!(probed["bytes"].as_u64() > Some(1_000));
    assert_eq!(probed["exports"][0], "lossbox:preference/loss@0.1.0");
    assert_eq!(probed["imports"], serde_json::json!([]));
    assert!(probed["limits"].as_array().unwrap().len() > 10);
    let shown = lossbox.run(&["audit", "infinite"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for part in [
        format!("sha256 {}, {} bytes", probed["hash"].as_str().unwrap(), probed["bytes"]),
        "exports       lossbox:preference/loss@0.1.0".to_owned(),
        "imports       none".to_owned(),
    ] {
        assert!(shown.contains(&part), "{shown}");
    }
    let junk = json_of(&lossbox.run(&["audit", "junk", "--json"]));
    assert_eq!(junk["rule"], "component/valid");
    assert_eq!(junk["hash"], junk["source_hash"]);
    assert_eq!(junk["hash"].as_str().unwrap().len(), 64);
    assert_eq!(junk["bytes"], 4);
    assert!(junk["exports"].is_null());
    let shown = lossbox.run(&["audit", "junk"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains(", 4 bytes"), "{shown}");
}

/// Its author chose the name of the file, and nobody else's lines.
#[test]
fn a_name_of_a_file_forges_no_line() {
    let lossbox = Lossbox::new();
    let forged = "mine\naccepted example@0123456789ab";
    lossbox.write(&format!("plugins/{forged}.rs"), THIEF);
    lossbox.write("crate/Cargo.toml", "");
    lossbox.write(&format!("crate/src/{forged}"), "");
    for arguments in [
        vec!["plugins"],
        vec!["plugins", "--json"],
        vec!["audit", &format!("plugins/{forged}.rs")],
        vec!["audit", "./crate"],
    ] {
        let output = lossbox.run(&arguments);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("mine"), "{arguments:?}: {said}");
        let is_forged = |line: &str| line.trim_start().starts_with("accepted example");
        assert!(!said.lines().any(is_forged), "{arguments:?}: {said}");
    }
}

/// The files of cached verdicts below a cache folder.
fn verdicts(cache: &Path) -> Vec<PathBuf> {
    let Ok(users) = fs::read_dir(cache.join("verdicts")) else {
        return Vec::new();
    };
    users
        .flat_map(|user| fs::read_dir(user.unwrap().path()).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// A folder of its own for verdicts, with the SDK that was built for the others.
fn own_cache(lossbox: &mut Lossbox) {
    assert_eq!(lossbox.run(&["audit", "dpo"]).status.code(), Some(0));
    let own = lossbox.path("cache");
    fs::create_dir(&own).unwrap();
    std::os::unix::fs::symlink(lossbox.cache.join("sdk"), own.join("sdk")).unwrap();
    lossbox.cache = own;
}

#[test]
fn verdicts_are_cached_and_a_tampered_one_is_noticed_and_made_again() {
    let mut lossbox = Lossbox::new();
    own_cache(&mut lossbox);
    lossbox.write("mine.rs", &loss("mine", 1.0));
    let audit = || lossbox.run(&["audit", "mine.rs", "--json"]);
    let first = audit();
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    // What the compiler said, and what the probe said.
    let entries = verdicts(&lossbox.cache);
    assert_eq!(entries.len(), 2);
    let written: Vec<Vec<u8>> = entries.iter().map(|path| fs::read(path).unwrap()).collect();
    for bytes in &written {
        // A component may be there, machine code (an ELF file of wasmtime's) not.
        let has = |magic: &[u8]| bytes.windows(magic.len()).any(|window| window == magic);
        assert!(!has(b"\x7fELF"));
    }
    let second = audit();
    assert_eq!(json_of(&second), json_of(&first));
    assert_eq!(stderr(&second), "");
    assert_eq!(verdicts(&lossbox.cache).len(), 2);

    for (path, bytes) in entries.iter().zip(&written) {
        let mut altered = bytes.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 1;
        fs::write(path, altered).unwrap();
    }
    let third = audit();
    assert_eq!(third.status.code(), Some(0), "{}", stderr(&third));
    assert_eq!(json_of(&third), json_of(&first));
    assert_eq!(stderr(&third).matches("tampered with").count(), 2, "{}", stderr(&third));
    for (path, bytes) in entries.iter().zip(&written) {
        assert_eq!(&fs::read(path).unwrap(), bytes, "made again");
    }
    assert_eq!(stderr(&audit()), "");
}

#[test]
fn a_rejection_is_cached_unless_the_source_gate_says_it() {
    let mut lossbox = Lossbox::new();
    own_cache(&mut lossbox);
    lossbox.write("thief.rs", THIEF);
    lossbox.write("typo.rs", &loss("typo", 1.0).replace("log_sigmoid", "log_sigmoyd"));
    lossbox.write("nan.rs", &loss("nan", 1.0).replace(".log_sigmoid()", ".ln()"));
    for (file, rule, n_entries) in [
        ("thief.rs", "source/no-include", 0),
        ("typo.rs", "compile/rustc", 1),
        ("nan.rs", "probe/", 3),
    ] {
        let first = json_of(&lossbox.run(&["audit", file, "--json"]));
        assert!(first["rule"].as_str().unwrap().starts_with(rule), "{first}");
        assert_eq!(verdicts(&lossbox.cache).len(), n_entries, "{file}");
        let second = json_of(&lossbox.run(&["audit", file, "--json"]));
        assert_eq!(second, first);
        assert_eq!(verdicts(&lossbox.cache).len(), n_entries, "{file}");
    }
}

#[test]
fn processes_that_share_a_cache_do_not_disturb_each_other() {
    let mut lossbox = Lossbox::new();
    own_cache(&mut lossbox);
    lossbox.write("mine.rs", &loss("mine", 1.0));
    let running: Vec<Child> = (0..4)
        .map(|_| {
            lossbox
                .command(&["audit", "mine.rs", "--json"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut verdict = Value::Null;
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(stderr(&output), "");
        let answer = json_of(&output);
        assert!(verdict.is_null() || verdict == answer, "{answer}");
        verdict = answer;
    }
    assert_eq!(verdicts(&lossbox.cache).len(), 2);
}

/// `lossbox plugins --watch --json`, whose lines come one by one.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(lossbox: &Lossbox) -> Self {
        let mut child = lossbox
            .command(&["plugins", "--watch", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in stdout.lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Watching { child, lines }
    }

    fn next(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("a line in time");
        serde_json::from_str(&line).unwrap()
    }

    /// Changes of this plugin up to the one that ends as expected: a half-written file may have been seen on the way.
    fn until(&self, name: &str, event: &str, verdict: &Value) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let change = self.next();
            assert_eq!(change["plugin"]["name"], name, "{change}");
            if change["event"] == event && &change["plugin"]["verdict"] == verdict {
                return;
            }
        }
        panic!("{name} was never {event} and {verdict}");
    }

    /// Sends SIGINT and waits for the end.
    fn interrupt(mut self) -> (Option<i32>, Vec<String>) {
        let kill = format!("kill -INT {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), self.lines.iter().collect());
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_change_in_the_folder_is_told_once_until_ctrl_c() {
    let lossbox = Lossbox::new();
    lossbox.write("plugins/old.rs", &loss("old", 1.0));
    let watching = Watching::start(&lossbox);
    let list = watching.next();
    let rows = list["plugins"].as_array().unwrap();
    assert_eq!(row(rows, "old", "file")["verdict"], "accepted");

    lossbox.write("plugins/good.rs", &loss("good", 2.0));
    watching.until("good", "added", &"accepted".into());

    // Half a file, and the other half later.
    let text = loss("half", 3.0);
    let (first, second) = text.split_at(text.len() / 2);
    lossbox.write("plugins/half.rs", first);
    thread::sleep(Duration::from_millis(100));
    lossbox.write("plugins/half.rs", &format!("{first}{second}"));
    loop {
        let change = watching.next();
        assert_eq!(change["plugin"]["name"], "half", "{change}");
        if change["plugin"]["verdict"] == "accepted" {
            break;
        }
    }

    lossbox.write("plugins/bad.rs", THIEF);
    watching.until("bad", "added", &"rejected".into());
    // The same content again is no change, another one is.
    lossbox.write("plugins/good.rs", &loss("good", 2.0));
    lossbox.write("plugins/bad.rs", &loss("bad", 4.0));
    watching.until("bad", "changed", &"accepted".into());

    // Moved into its place, as careful programs write.
    lossbox.write("plugins/.tmp", THIEF);
    fs::rename(lossbox.path("plugins/.tmp"), lossbox.path("plugins/good.rs")).unwrap();
    watching.until("good", "changed", &"rejected".into());

    fs::remove_file(lossbox.path("plugins/bad.rs")).unwrap();
    watching.until("bad", "removed", &Value::Null);
    // What comes and goes at once was never there.
    lossbox.write("plugins/short.rs", THIEF);
    fs::remove_file(lossbox.path("plugins/short.rs")).unwrap();
    fs::create_dir_all(lossbox.path("plugins/generated")).unwrap();
    lossbox.write("plugins/generated/winner.rs", THIEF);
    watching.until("winner", "added", &"rejected".into());

    let (code, rest) = watching.interrupt();
    assert_eq!(code, Some(0));
    assert_eq!(rest, [] as [String; 0]);
}

/// The plugins folder and `generated` in it are places that a user chose, wherever they lead; what lies in them is whatever
/// somebody put there, and a link is not followed.
#[test]
fn a_folder_that_is_a_link_is_followed_and_an_entry_that_is_one_is_not() {
    let lossbox = Lossbox::new();
    lossbox.write("elsewhere/mine.rs", &loss("mine", 1.0));
    lossbox.write("winners/winner.rs", &loss("winner", 3.0));
    let link = |to: &str, from: &str| {
        std::os::unix::fs::symlink(lossbox.path(to), lossbox.path(from)).unwrap();
    };
    link("elsewhere", "plugins");
    link("winners", "elsewhere/generated");
    link("winners/winner.rs", "elsewhere/linked.rs");
    link("elsewhere/mine.rs", "winners/linked_winner.rs");
    let rows = lossbox.list();
    assert_eq!(row(&rows, "mine", "file")["verdict"], "accepted");
    assert_eq!(row(&rows, "winner", "generated")["verdict"], "accepted");
    for (name, form) in [("linked", "file"), ("linked_winner", "generated")] {
        let row = row(&rows, name, form);
        assert_eq!(row["rule"], "source/crate-layout", "{row}");
    }
}

#[test]
fn a_folder_that_is_not_there_cannot_be_watched_and_has_only_built_in_losses() {
    let lossbox = Lossbox::new();
    let output = lossbox.run(&["plugins", "--watch"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("lossbox new"), "{}", stderr(&output));
    let rows = lossbox.list();
    assert!(rows.len() >= 13);
    for row in &rows {
        assert_eq!(row["kind"], "built-in");
        assert_eq!(row["verdict"], "accepted", "{row}");
        assert!(row["path"].is_null());
    }
}
