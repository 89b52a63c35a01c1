// A service that uses eureka-js-client, as its documentation has it: it registers,
// renews, discovers by application and by virtual address, and deregisters when
// its standard input ends. Each event, and what it knows ten times a second, is a
// line of JSON on standard output.
//
//   node eureka-client.js HOST PORT PATH DELTA
'use strict';
const { Eureka } = require('eureka-js-client');
const [host, port, servicePath, delta] = process.argv.slice(2);
const say = (event, more) => console.log(JSON.stringify({ event, ...more }));

const client = new Eureka({
  logger: { info() {}, debug() {}, warn() {}, error: (...a) => say('error', { text: a.join(' ') }) },
  instance: {
    instanceId: 'n1:basket:9301', app: 'basket', hostName: 'n1', ipAddr: '10.4.0.9', vipAddress: 'basket', secureVipAddress: 'basket-tls',
    port: { $: 9301, '@enabled': true }, dataCenterInfo: { '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo', name: 'MyOwn' },
    metadata: { color: 'a', blue_green: 'b' },
  },
  eureka: { host, port: Number(port), servicePath, heartbeatInterval: 100, registryFetchInterval: 100, maxRetries: 1 },
  shouldUseDelta: delta === 'true',
});
client.on('registered', () => say('registered'));
client.on('heartbeat', () => say('heartbeat'));
client.on('deregistered', () => say('deregistered'));
setInterval(() => {
  const ids = (list) => (list || []).map((i) => i.instanceId + ' ' + i.port.$ + ' ' + i.status + ' ' + (i.metadata || {}).color).sort();
  const by = (f, name) => { try { return ids(f.call(client, name)); } catch (e) { return []; } };
  say('knows', {
    app: by(client.getInstancesByAppId, 'BASKET'), basket: by(client.getInstancesByVipAddress, 'basket'), cart: by(client.getInstancesByVipAddress, 'cart'),
  });
}, 100);
client.start((error) => say('started', { text: error ? String(error) : '' }));
process.stdin.on('end', () => client.stop((error) => { say('stopped', { text: error ? String(error) : '' }); process.exit(0); }));
process.stdin.resume();
