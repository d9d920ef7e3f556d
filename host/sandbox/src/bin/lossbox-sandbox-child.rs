//! The sandbox's child as a program of its own, for hosts that do not re-execute themselves.

fn main() -> std::process::ExitCode {
    sandbox::child::run_if_child();
    std::process::ExitCode::from(2)
}
