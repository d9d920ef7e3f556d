//! `lossbox` itself, built where the integration tests can find it.

fn main() -> std::process::ExitCode {
    lossbox::main()
}
