//! What a component may import: nothing, or WASI 0.2 interfaces that a context with nothing in it can serve.

/// Which imports the audit lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imports {
    /// None. Losses that were compiled here have none, and `--strict` asks for this everywhere.
    None,
    /// The interfaces of [`WASI`] in any 0.2 version: what a component built against std imports.
    Wasi,
}

/// The interfaces that std for wasm32-wasip2 imports. Sockets and HTTP are not among them.
///
/// They are served by a context with nothing in it: no files, no environment, no arguments, frozen clocks, a fixed seed.
pub const WASI: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

impl Imports {
    pub(super) fn allow(self, name: &str, is_interface: bool) -> bool {
        match self {
            Imports::None => false,
            Imports::Wasi => is_interface && is_wasi(name),
        }
    }
}

/// `wasi:package/interface@0.2.N` with an interface of the list.
fn is_wasi(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else {
        return false;
    };
    let patch = version.strip_prefix("0.2.").unwrap_or_default();
    let is_patch = !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit());
    is_patch && WASI.contains(&interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wasi_is_a_list_of_whole_names() {
        for (name, allowed) in [
            ("wasi:cli/environment@0.2.0", true),
            ("wasi:random/insecure-seed@0.2.6", true),
            ("wasi:cli/environment", false),
            ("wasi:cli/environment@0.3.0", false),
            ("wasi:cli/environment@0.2.0-rc1", false),
            ("wasi:cli/environment@0.2.", false),
            ("wasi:cli/environments@0.2.0", false),
            ("wasi:sockets/tcp@0.2.0", false),
            ("wasi:http/outgoing-handler@0.2.0", false),
            ("evil:cli/environment@0.2.0", false),
        ] {
            assert_eq!(Imports::Wasi.allow(name, true), allowed, "{name}");
            assert!(!Imports::Wasi.allow(name, false) && !Imports::None.allow(name, true));
        }
    }
}
