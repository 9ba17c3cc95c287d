// Drives Chromium. The argument is a JSON object: `scenario`, `port` (where pages are served), `url` (where events are taken), and
// what the scenario needs. Says one line of JSON when it has made its calls, and stays until its input ends.

import { readFile } from 'node:fs/promises'
import http from 'node:http'
import { chromium } from 'playwright-core'

const task = JSON.parse(process.argv[2])
const LIMIT_MS = 60_000

// Pages and events are on hosts of one site, all of them on this machine.
export const PAGES = `http://www.shop.example:${task.port}`
const events = new URL(task.url)
export const EVENTS = `http://events.shop.example:${events.port}`

const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--host-resolver-rules=MAP *.shop.example 127.0.0.1, MAP *.other.test 127.0.0.1'],
})

export async function opened(path, prepare, origin = PAGES) {
    const context = await browser.newContext()
    const page = await context.newPage()
    page.setDefaultTimeout(LIMIT_MS)
    page.on('pageerror', (error) => console.error(`a page: ${error}`))
    await prepare?.(page)
    await page.goto(origin + path)
    return page
}

// Serves pages; what `answer` does not know goes to the pipeline, as a proxy in front of both would send it.
function serve(answer) {
    const server = http.createServer(async (request, response) => {
        const url = new URL(request.url, PAGES)
        const found = request.method === 'GET' && (await answer(url))
        if (found) {
            response.writeHead(200, { 'content-type': found.type })
            response.end(found.text)
            return
        }
        const headers = { ...request.headers, 'x-forwarded-for': '203.0.113.9' }
        const options = { host: '127.0.0.1', port: events.port, path: request.url, method: request.method, headers }
        const onward = http.request(options, (answer) => {
            response.writeHead(answer.statusCode, answer.headers)
            answer.pipe(response)
        })
        onward.on('error', () => response.destroy())
        request.pipe(onward)
    })
    return new Promise((resolve) => server.listen(task.port, '127.0.0.1', resolve))
}

const scenarios = {
    async calls() {
        const { callsOf, pageOf } = await import('./browser_calls.mjs')
        await serve((url) => ({ type: 'text/html', text: pageOf(url, EVENTS, task) }))
        const pages = task.clients.map(async (client) => {
            const page = await opened(`/${client}?${task.refuses ? 'refuses' : ''}`)
            return [client, await callsOf(page, client, task)]
        })
        return Object.fromEntries(await Promise.all(pages))
    },

    // Pages that send to another host and ask the browser to send cookies along: one of the same site, one of another.
    async other_host() {
        await serve(() => ({ type: 'text/html', text: '<!doctype html><link rel="icon" href="data:,">' }))
        const send = async ([url, key, body]) => {
            const headers = { authorization: `Basic ${btoa(`${key}:`)}` }
            const answer = await fetch(`${url}/v1/track`, { method: 'POST', credentials: 'include', headers, body })
            return [answer.status, document.cookie]
        }
        const told = {}
        for (const [name, origin] of Object.entries({ same: PAGES, other: `http://www.other.test:${task.port}` })) {
            const page = await opened('/', undefined, origin)
            told[name] = []
            for (const body of task.bodies[name]) told[name].push(await page.evaluate(send, [EVENTS, task.key, body]))
        }
        return told
    },

    async shop() {
        const { visit } = await import('./browser_shop.mjs')
        const types = { html: 'text/html', js: 'text/javascript' }
        await serve(async ({ pathname }) => {
            const name = pathname === '/' ? '/index.html' : pathname
            const type = types[name.split('.').pop()]
            const text = type && (await readFile(task.folder + name, 'utf8').catch(() => undefined))
            return text && { type, text }
        })
        const visits = []
        for (const one of task.visits) visits.push(await visit(opened, one))
        return visits
    },
}

console.log(JSON.stringify(await scenarios[task.scenario]()))
process.stdin.resume()
process.stdin.on('end', async () => {
    await browser.close()
    process.exit(0)
})
