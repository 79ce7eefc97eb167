//! Does not compile, because it would read a reply before it is on stable storage.

use exactly_once::{Engine, Options, Processed, Refusal};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("name a directory")?;
    let handle = Engine::open(directory, &Options::default())?.share()?;
    let pending = handle.process("e1", "hello");
    let answer: Result<Processed, Refusal> = pending;
    println!("{answer:?}");
    Ok(handle.close()?)
}
