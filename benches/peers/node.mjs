// Meta's libraries for Node: a purchase as JSON in, its server event as JSON out, on one thread.
//
//     node node.mjs FILE

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { Content, CustomData, ServerEvent, UserData } = require('facebook-nodejs-business-sdk');
const { ParamBuilder } = require('capi-param-builder-nodejs');

const ROUNDS = 3;
const lines = readFileSync(process.argv[2], 'utf8').trimEnd().split('\n');

function sdk(event) {
  const { traits, properties, context } = event;
  // It knows no referrer.
  const user = new UserData()
    .setEmails([traits.email])
    .setPhones([traits.phone])
    .setFirstNames([traits.firstName])
    .setLastNames([traits.lastName])
    .setDatesOfBirth([traits.birthday.replaceAll('-', '')])
    .setGenders([traits.gender])
    .setCities([traits.address.city])
    .setStates([traits.address.state])
    .setZips([traits.address.postalCode])
    .setCountries([traits.address.country])
    .setExternalIds([event.userId, event.anonymousId])
    .setClientIpAddress(context.ip)
    .setClientUserAgent(context.userAgent)
    .setFbp(context.fbp)
    .setFbc(context.fbc);
  const contents = properties.products.map((product) =>
    new Content()
      .setId(product.product_id)
      .setQuantity(product.quantity)
      .setItemPrice(product.price)
      .setTitle(product.name)
      .setBrand(product.brand)
      .setCategory(product.category));
  const custom = new CustomData()
    .setContents(contents)
    .setContentIds(properties.products.map((product) => product.product_id))
    .setContentType('product')
    .setCurrency(properties.currency)
    .setValue(properties.value)
    .setOrderId(properties.order_id)
    .setNumItems(properties.products.reduce((sum, product) => sum + product.quantity, 0));
  return new ServerEvent()
    .setEventName('Purchase')
    .setEventTime(Math.floor(Date.parse(event.timestamp) / 1000))
    .setEventId(event.messageId)
    .setActionSource('website')
    .setEventSourceUrl(context.page.url)
    .setUserData(user)
    .setCustomData(custom)
    .normalize();
}

const builder = new ParamBuilder();
const TYPES = ['email', 'phone', 'first_name', 'last_name', 'date_of_birth', 'gender', 'city', 'state', 'zip_code', 'country'];
const KEYS = ['em', 'ph', 'fn', 'ln', 'db', 'ge', 'ct', 'st', 'zp', 'country'];

function paramBuilder(event) {
  const { traits, properties, context } = event;
  const { address } = traits;
  const values = [
    traits.email, traits.phone, traits.firstName, traits.lastName, traits.birthday, traits.gender,
    address.city, address.state, address.postalCode, address.country,
  ];
  const user_data = {};
  TYPES.forEach((type, i) => {
    user_data[KEYS[i]] = [builder.getNormalizedAndHashedPII(values[i], type)];
  });
  user_data.external_id = [event.userId, event.anonymousId]
    .map((id) => builder.getNormalizedAndHashedPII(id, 'external_id'));
  user_data.client_ip_address = context.ip;
  user_data.client_user_agent = context.userAgent;
  user_data.fbp = context.fbp;
  user_data.fbc = context.fbc;
  return {
    event_name: 'Purchase',
    event_time: Math.floor(Date.parse(event.timestamp) / 1000),
    event_id: event.messageId,
    action_source: 'website',
    event_source_url: context.page.url,
    referrer_url: context.page.referrer,
    user_data,
    custom_data: {
      contents: properties.products.map(({ product_id, quantity, price, name, brand, category }) =>
        ({ id: product_id, quantity, item_price: price, title: name, brand, category })),
      content_ids: properties.products.map((product) => product.product_id),
      content_type: 'product',
      currency: properties.currency,
      value: properties.value,
      order_id: properties.order_id,
      num_items: properties.products.reduce((sum, product) => sum + product.quantity, 0),
    },
  };
}

function measure(name, map) {
  let best = Infinity;
  let bytes = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    bytes = 0;
    const start = process.cpuUsage();
    for (const line of lines) {
      bytes += JSON.stringify(map(JSON.parse(line))).length;
    }
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, user + system);
  }
  const perSecond = Math.round((lines.length / best) * 1e6);
  console.log(`| ${name} | ${perSecond} | ${Math.round(bytes / lines.length)} |`);
}

measure('Meta\'s Business SDK for Node, 24.0.1', sdk);
measure('Meta\'s parameter builder for Node, 1.3.2, and a payload by hand', paramBuilder);
