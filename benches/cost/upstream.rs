//! A service that costs as little as a service can: it looks for the end of a head and writes a constant.
//!
//! Where the path ends in `/sized/N`, the body is a document of N bytes, made once. It reads no length and no body, so it is for
//! requests without one.

use std::collections::HashMap;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";

/// The least document that says that all is well, but for what fills it.
const DOCUMENT: [&str; 2] = [r#"{"Status":200,"Result":""#, r#""}"#];

/// Serves on `address` until it is killed.
pub fn serve(address: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let set = tokio::task::LocalSet::new();
    set.block_on(&runtime, async {
        let listener = TcpListener::bind(address).await.unwrap();
        let sized = Rc::new(HashMap::from([200, 64 * 1024].map(|size| (size, document(size)))));
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::task::spawn_local(answer(stream, Rc::clone(&sized)));
        }
    });
}

/// An answer with a body of `size` bytes.
fn document(size: usize) -> Vec<u8> {
    let [begin, end] = DOCUMENT;
    let fill = "x".repeat(size - begin.len() - end.len());
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n{begin}{fill}{end}").into_bytes()
}

/// The size that the request line of `head` asks for, if it asks for one.
fn size_of(head: &[u8]) -> Option<usize> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let target = std::str::from_utf8(line).ok()?.split(' ').nth(1)?;
    target.rsplit_once("/sized/")?.1.parse().ok()
}

async fn answer(mut stream: TcpStream, sized: Rc<HashMap<usize, Vec<u8>>>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(8 * 1024);
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if buffer.ends_with(b"\r\n\r\n") {
            let bytes = size_of(&buffer).and_then(|size| sized.get(&size)).map_or(ANSWER, Vec::as_slice);
            buffer.clear();
            if stream.write_all(bytes).await.is_err() {
                return;
            }
        }
    }
}
