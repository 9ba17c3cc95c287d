//! Connections over real sockets, with short deadlines.

use super::*;
use crate::http::{Memory, Refusal, read};
use crate::test_intake::StopHandle;
use axum::routing::post;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(600);

/// A server that reads bodies and answers with their length.
async fn start(deadlines: Deadlines, most: usize) -> (SocketAddr, StopHandle, JoinHandle<()>) {
    let address = "127.0.0.1:0".parse().unwrap();
    let mut server = Server::bind("web", address, deadlines).await.unwrap();
    server.connections = Connections::new(most);
    let address = server.address();
    let memory = Memory::new(1 << 20);
    let read_all = move |body: Body| async move {
        let mut hold = memory.hold(LONG);
        let read = read(body, 100_000, &mut hold, &deadlines).await?;
        Ok::<_, Refusal>(read.len().to_string())
    };
    let router = Router::new().route("/", post(read_all));
    let (handle, stop) = StopHandle::new(Duration::ZERO);
    let serving = tokio::spawn(async move { server.serve(router, &stop, SHORT).await });
    (address, handle, serving)
}

fn patient() -> Deadlines {
    Deadlines {
        head: LONG,
        idle: LONG,
        look: SHORT,
        linger: SHORT,
        body_grace: LONG,
        body_window: LONG,
        ..Deadlines::DEFAULT
    }
}

/// Everything that comes until the server closes the connection.
async fn until_closed(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn connect(address: SocketAddr, bytes: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(bytes.as_bytes()).await.unwrap();
    client
}

const REQUEST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}";

/// The answer to a request whose connection stays open.
async fn answer(client: &mut TcpStream) -> String {
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n2") {
        answer.push(char::from(client.read_u8().await.unwrap()));
    }
    answer
}

#[tokio::test]
async fn a_head_that_does_not_come_and_an_idle_connection_are_closed() {
    let head = Deadlines {
        head: SHORT,
        ..patient()
    };
    let idle = Deadlines {
        idle: SHORT,
        ..patient()
    };
    for (deadlines, sent) in [(head, "POST / HT"), (idle, "")] {
        let (address, stop, serving) = start(deadlines, 10).await;
        let mut client = connect(address, sent).await;
        assert_eq!(until_closed(&mut client).await, "");
        stop.stop();
        serving.await.unwrap();
    }
    let (address, stop, serving) = start(idle, 10).await;
    let mut client = connect(address, REQUEST).await;
    let answered = until_closed(&mut client).await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    stop.stop();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_body_that_trickles_is_refused_and_its_connection_closed() {
    let deadlines = Deadlines {
        body_grace: Duration::ZERO,
        body_window: SHORT,
        ..patient()
    };
    let (address, stop, serving) = start(deadlines, 10).await;
    let mut client = connect(
        address,
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{",
    )
    .await;
    let answered = until_closed(&mut client).await;
    assert!(answered.starts_with("HTTP/1.1 408"), "{answered}");
    stop.stop();
    serving.await.unwrap();
}

#[tokio::test]
async fn at_the_bound_a_newcomer_takes_the_place_of_who_has_been_idle_for_longest() {
    let (address, stop, serving) = start(patient(), 2).await;
    let mut first = connect(address, REQUEST).await;
    answer(&mut first).await;
    let mut second = connect(address, REQUEST).await;
    answer(&mut second).await;
    let mut third = connect(address, REQUEST).await;
    answer(&mut third).await;
    assert_eq!(until_closed(&mut first).await, "");
    second.write_all(REQUEST.as_bytes()).await.unwrap();
    answer(&mut second).await;
    // Connections that stay open do not hold up the end.
    stop.stop();
    serving.await.unwrap();
}
