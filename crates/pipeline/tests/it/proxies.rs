//! Debian's nginx in front of the real binary: the address of a visitor comes through, and a forged one does not.
//!
//! Where nginx is missing, the tests say so and are left out, unless `CI` is set.

use crate::tally::{Bench, eventually, free_address, is_installed, personal};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A visitor, as a balancer in front of nginx says it.
const VISITOR: &str = "PROXY TCP4 203.0.113.9 192.0.2.1 5123 443\r\n";
const VISITOR_V6: &str = "PROXY TCP6 2a00:1450::9 2001:db8::1 5123 443\r\n";

/// The addresses of a set-up.
struct Set {
    bench: Bench,
    nginx: Child,
    /// nginx with `X-Forwarded-For`, with `Forwarded`, with the PROXY protocol, and in front of who trusts others.
    usual: String,
    standard: String,
    passed: String,
    strange: String,
    /// The source that trusts nginx, and the one behind the PROXY protocol.
    direct: String,
    direct_passed: String,
}

fn config(set: [&str; 7], folder: &str) -> String {
    let [usual, standard, passed, strange, trusting, spoken, strict] = set;
    let server = |listen: &str, to: &str, headers: &str| {
        format!(
            "server {{ listen {listen} proxy_protocol; set_real_ip_from 127.0.0.0/8; real_ip_header proxy_protocol;
                location / {{ proxy_pass http://{to}; proxy_http_version 1.1; {headers} }} }}\n"
        )
    };
    let usual_header = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
    let standard_header = r#"set $for $remote_addr; if ($remote_addr ~ ":") { set $for "\"[$remote_addr]\""; }
        proxy_set_header Forwarded "for=$for"; proxy_set_header X-Forwarded-For "";"#;
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/nginx-{kind};\n"))
        .concat();
    format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
        daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
        events {{ worker_connections 64; }}
        http {{ access_log off; {folders} {} {} {} }}
        stream {{ server {{ listen {passed} proxy_protocol; set_real_ip_from 127.0.0.0/8;
            proxy_pass {spoken}; proxy_protocol on; }} }}\n",
        server(usual, trusting, usual_header),
        server(standard, trusting, standard_header),
        server(strange, strict, usual_header),
    )
}

impl Set {
    async fn new() -> Self {
        let address = [(); 7].map(|()| free_address());
        let [usual, standard, passed, strange, trusting, spoken, strict] = &address;
        let source = |address: &str, proxies: &str, proxy_protocol: bool| {
            json!({
                "type": "segment", "address": address, "client_context": "always",
                "trusted_proxies": [proxies], "proxy_protocol": proxy_protocol,
            })
        };
        let mut bench = Bench::new(&source(trusting, "127.0.0.0/8", false)).await;
        let sources = &mut bench.pipeline["sources"];
        sources["spoken"] = source(spoken, "127.0.0.0/8", true);
        sources["strict"] = source(strict, "10.0.0.0/8", false);
        bench.sink(&json!({"inputs": ["in", "spoken", "strict"]}));
        let folder = bench.folder.path().display().to_string();
        let config = config(address.each_ref().map(String::as_str), &folder);
        let file = bench.path("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let log = std::fs::File::create(bench.path("nginx.log")).unwrap();
        let mut nginx = Command::new("nginx");
        nginx.arg("-c").arg(&file).args(["-e", "stderr"]);
        nginx.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let nginx = nginx.kill_on_drop(true).spawn().unwrap();
        let set = Self {
            nginx,
            usual: usual.clone(),
            standard: standard.clone(),
            passed: passed.clone(),
            strange: strange.clone(),
            direct: trusting.clone(),
            direct_passed: spoken.clone(),
            bench,
        };
        let log = || std::fs::read_to_string(set.bench.path("nginx.log")).unwrap_or_default();
        let listens = || {
            [usual, standard, passed, strange]
                .iter()
                .all(|at| is_open(at))
        };
        eventually(listens, log).await;
        set
    }

    /// The address that the destination got with an event that was sent in this way.
    async fn address(&self, id: &str, (to, head, headers): (&str, &str, &str)) -> Value {
        let body = personal(id).to_string();
        let length = body.len();
        let mut stream = TcpStream::connect(to).await.unwrap();
        let request = format!(
            "{head}POST /v1/track HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Type: application/json\r\n\
             User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{id}: {answer}");
        let find = || {
            let accepted = self.bench.sandbox.accepted();
            let events = accepted
                .iter()
                .map(|event| serde_json::from_str::<Value>(event).unwrap());
            events.into_iter().find(|event| event["event_id"] == id)
        };
        eventually(
            || find().is_some(),
            || format!("{id} {:?}", self.bench.sandbox.summary()),
        )
        .await;
        find().unwrap()["user_data"]["client_ip_address"].clone()
    }
}

fn is_open(address: &str) -> bool {
    std::net::TcpStream::connect(address).is_ok()
}

#[tokio::test]
async fn the_address_of_a_visitor_comes_through_nginx_and_a_forged_one_does_not() {
    if !is_installed("nginx", "the tests of proxies") {
        return;
    }
    let mut set = Set::new().await;
    let run = set.bench.start();
    let listening = || run.said().matches("address=").count() >= 3;
    eventually(listening, || run.said()).await;
    let forged = "X-Forwarded-For: 198.51.100.66\r\n";
    let forged_standard = "Forwarded: for=198.51.100.66\r\n";
    let (v4, v6, unknown) = (json!("203.0.113.9"), json!("2a00:1450::9"), Value::Null);
    for (id, way, expected) in [
        ("usual", (&*set.usual, VISITOR, ""), &v4),
        ("usual-v6", (&set.usual, VISITOR_V6, ""), &v6),
        ("usual-forged", (&set.usual, VISITOR, forged), &v4),
        // The proxy passes on what it does not write itself: which of the two is right is not known.
        (
            "usual-forged-other",
            (&set.usual, VISITOR, forged_standard),
            &unknown,
        ),
        ("standard", (&set.standard, VISITOR, ""), &v4),
        ("standard-v6", (&set.standard, VISITOR_V6, ""), &v6),
        (
            "standard-forged",
            (&set.standard, VISITOR, forged_standard),
            &v4,
        ),
        (
            "standard-forged-other",
            (&set.standard, VISITOR, forged),
            &v4,
        ),
        ("passed", (&set.passed, VISITOR, ""), &v4),
        ("passed-v6", (&set.passed, VISITOR_V6, ""), &v6),
        ("passed-forged", (&set.passed, VISITOR, forged), &v4),
        ("direct-passed", (&set.direct_passed, VISITOR, forged), &v4),
        // Nothing is between: the address is this machine's, which is no visitor's.
        ("direct", (&set.direct, "", ""), &unknown),
        // nginx is a stranger there.
        ("strange-forged", (&set.strange, VISITOR, forged), &unknown),
    ] {
        assert_eq!(&set.address(id, way).await, expected, "{id}");
    }
    // Whoever leaves the header out loses this connection only.
    let mut without = TcpStream::connect(&set.direct_passed).await.unwrap();
    without
        .write_all(b"POST /v1/track HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    let _ = without.read_to_string(&mut answer).await;
    assert_eq!(answer, "");
    run.says("no_proxy_header").await;
    let again = (&*set.direct_passed, VISITOR, "");
    assert_eq!(set.address("again", again).await, v4);
    run.terminate();
    let (status, said) = run.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    set.nginx.kill().await.unwrap();
}
