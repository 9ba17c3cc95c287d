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

/// A server whose answers are as long as the client asks for.
async fn start_answering() -> (SocketAddr, StopHandle, JoinHandle<()>) {
    let address = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind("web", address, patient()).await.unwrap();
    let address = server.address();
    let answer = |body: String| async move { "x".repeat(body.parse().unwrap()) };
    let router = Router::new()
        .route("/", post(answer))
        .route("/unread", post(|| async { "unread" }));
    let (handle, stop) = StopHandle::new(Duration::ZERO);
    let serving = tokio::spawn(async move { server.serve(router, &stop, SHORT).await });
    (address, handle, serving)
}

fn asking_for(bytes: usize) -> String {
    let body = bytes.to_string();
    let length = body.len();
    format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// The length of the next answer.
async fn answered(client: &mut TcpStream) -> usize {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(!head.contains("connection: close"), "{head}");
    let (_, length) = head.split_once("content-length: ").unwrap();
    let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    client.read_exact(&mut body).await.unwrap();
    length
}

#[tokio::test]
async fn requests_that_come_in_pieces_or_all_at_once_are_answered_in_their_order() {
    let (address, stop, serving) = start_answering().await;
    let requests = [asking_for(3), asking_for(20_000), asking_for(0)].concat();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.set_nodelay(true).unwrap();
    for cut in (0..=requests.len()).rev().step_by(3) {
        client.write_all(&requests.as_bytes()[..cut]).await.unwrap();
        // The rest comes when the server has looked at what there is.
        tokio::task::yield_now().await;
        let first = if cut >= asking_for(3).len() {
            Some(answered(&mut client).await)
        } else {
            None
        };
        client.write_all(&requests.as_bytes()[cut..]).await.unwrap();
        let first = match first {
            Some(first) => first,
            None => answered(&mut client).await,
        };
        assert_eq!(first, 3, "{cut}");
        assert_eq!(answered(&mut client).await, 20_000, "{cut}");
        assert_eq!(answered(&mut client).await, 0, "{cut}");
    }
    stop.stop();
    serving.await.unwrap();
}

/// A connection remembers whether requests follow one another, and puts back what it has read too early. Whatever the sizes,
/// the pieces and the pauses between them, the answers are those that each request gets alone.
#[tokio::test]
async fn any_sequence_of_requests_on_one_connection_is_answered_as_each_is_alone() {
    let (address, stop, serving) = start_answering().await;
    let mut random = fastrand::Rng::with_seed(20_261_127);
    for _ in 0..20 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.set_nodelay(true).unwrap();
        let sizes: Vec<usize> = (0..random.usize(1..20))
            .map(|_| random.usize(0..3000))
            .collect();
        let bytes: String = sizes.iter().map(|size| asking_for(*size)).collect();
        let (mut sent, mut answers) = (0, Vec::new());
        while sent < bytes.len() {
            let end = (sent + random.usize(1..200)).min(bytes.len());
            client
                .write_all(&bytes.as_bytes()[sent..end])
                .await
                .unwrap();
            sent = end;
            let mut ends = sizes.iter().scan(0, |end, size| {
                *end += asking_for(*size).len();
                Some(*end)
            });
            let whole = ends.position(|end| end > sent).unwrap_or(sizes.len());
            // What has come whole is answered, whether or not the client waits for that before it sends more.
            while answers.len() < whole && random.bool() {
                answers.push(answered(&mut client).await);
            }
            for _ in 0..random.usize(0..4) {
                tokio::task::yield_now().await;
            }
            if random.u8(0..10) == 0 {
                // Long enough to be found idle.
                tokio::time::sleep(SHORT * 2).await;
            }
        }
        while answers.len() < sizes.len() {
            answers.push(answered(&mut client).await);
        }
        assert_eq!(answers, sizes);
    }
    stop.stop();
    serving.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_read_late_comes_whole_and_its_connection_stays_open() {
    const BYTES: usize = 16 << 20;
    let (address, stop, serving) = start_answering().await;
    let mut client = connect(address, &asking_for(BYTES)).await;
    client.readable().await.unwrap();
    // Longer than the socket takes at once: the server waits for the client meanwhile.
    let mut other = connect(address, &asking_for(1)).await;
    assert_eq!(answered(&mut other).await, 1);
    assert_eq!(answered(&mut client).await, BYTES);
    client.write_all(asking_for(2).as_bytes()).await.unwrap();
    assert_eq!(answered(&mut client).await, 2);
    stop.stop();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_connection_whose_body_was_not_read_is_closed_behind_the_answer() {
    let (address, stop, serving) = start_answering().await;
    let head = "POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{";
    let mut client = connect(address, head).await;
    let answered = until_closed(&mut client).await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    stop.stop();
    serving.await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_takes_little_more_than_its_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = connect(listener.local_addr().unwrap(), "").await;
    let served = Served {
        place: Connections::new(1).open_one(),
        peer: listener.local_addr().unwrap(),
        router: Router::new(),
        deadlines: patient(),
        is_ending: watch::channel(false).1,
        refusals: Arc::new(Refusals::new("web".into())),
    };
    let bytes = size_of_val(&served.start(stream, (None, None)));
    assert!(bytes < 3072, "{bytes}");
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

/// A server that answers with the address that it takes for the client's, and counts its refusals.
async fn start_behind(proxies: &[&str]) -> (SocketAddr, Arc<Refusals>, StopHandle, JoinHandle<()>) {
    let texts: Vec<_> = proxies.iter().map(ToString::to_string).collect();
    let deadlines = Deadlines {
        head: Duration::from_millis(200),
        ..patient()
    };
    let server = Server::bind("web", "127.0.0.1:0".parse().unwrap(), deadlines);
    let server = server.await.unwrap();
    let server = server.with_proxies(Some(Proxies::new(&texts).unwrap()));
    let (address, refusals) = (server.address(), server.refusals());
    let tell = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
    let router = Router::new().route("/", post(tell));
    let (handle, stop) = StopHandle::new(Duration::ZERO);
    let serving = tokio::spawn(async move { server.serve(router, &stop, SHORT).await });
    (address, refusals, handle, serving)
}

const LAST: &str = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_trusted_proxy_says_for_whom_a_connection_is_and_closes_only_its_own() {
    let (address, refusals, stop, serving) = start_behind(&["127.0.0.0/8"]).await;
    let header = "PROXY TCP4 203.0.113.9 192.0.2.1 5123 443\r\n";
    let mut kept = connect(address, header).await;
    for bad in [
        LAST.to_owned(),
        "PROXY TCP4 203.0.113.9 192.0.2.1 5123\r\n".to_owned() + LAST,
        // Its time is that of a head.
        "PROXY TCP4 203.0.113.9".to_owned(),
    ] {
        let mut client = connect(address, &bad).await;
        assert_eq!(until_closed(&mut client).await, "", "{bad}");
    }
    // Who only looks whether somebody listens is not counted.
    drop(connect(address, "").await);
    kept.write_all(LAST.as_bytes()).await.unwrap();
    let answer = until_closed(&mut kept).await;
    assert!(answer.ends_with("\r\n\r\n203.0.113.9:5123"), "{answer}");
    assert_eq!(refusals.counted("no_proxy_header"), 3);
    stop.stop();
    serving.await.unwrap();
}

#[tokio::test]
async fn the_proxy_protocol_of_a_stranger_is_not_read() {
    let (address, refusals, stop, serving) = start_behind(&["192.0.2.0/24"]).await;
    let forged = "PROXY TCP4 203.0.113.9 192.0.2.1 5123 443\r\n".to_owned() + LAST;
    let answer = until_closed(&mut connect(address, &forged).await).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let answer = until_closed(&mut connect(address, LAST).await).await;
    assert!(answer.contains("\r\n\r\n127.0.0.1:"), "{answer}");
    assert_eq!(refusals.counted("malformed_head"), 1);
    stop.stop();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_and_counted() {
    let (address, refusals, stop, serving) = start_behind(&["192.0.2.0/24"]).await;
    let long = format!(
        "POST / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "a".repeat(MAX_HEAD_BYTES)
    );
    let answer = until_closed(&mut connect(address, &long).await).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many = format!(
        "POST / HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x: a\r\n".repeat(500)
    );
    let answer = until_closed(&mut connect(address, &many).await).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(refusals.counted("head_too_large"), 2);
    stop.stop();
    serving.await.unwrap();
}

#[test]
fn what_keeps_happening_is_told_once_in_a_while() {
    let (mut told, start) = (super::Told(None), Instant::now());
    assert!(told.is_due(start));
    assert!(!told.is_due(start + super::PAUSE / 2));
    assert!(told.is_due(start + super::PAUSE));
    assert!(!told.is_due(start + super::PAUSE));
}
