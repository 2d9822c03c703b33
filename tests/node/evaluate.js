// Decides cases, one JSON object a line as `quell policy evaluate` takes them, by an independent evaluator.
// Usage: node evaluate.js FOLDER < cases, where FOLDER holds node_modules.
const path = require('node:path')
const lines = require('node:readline').createInterface({ input: process.stdin })

const modules = path.join(process.argv[2], 'node_modules', '@cloud-copilot')
const of = (file) => require(path.join(modules, 'iam-simulate', 'dist', 'cjs', file))
const { authorize } = of('core_engine/CoreSimulatorEngine.js')
const { AwsRequestImpl } = of('request/request.js')
const { RequestContextImpl } = of('requestContext.js')
const { DiscoveryContextKeyConstraints } = of('context_keys/discoveryContextKeyConstraints.js')
const installed = require('node:module').createRequire(path.join(process.argv[2], 'package.json'))
const { loadPolicy } = installed('@cloud-copilot/iam-policy')

const FULL = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: '*', Action: '*', Resource: '*' }] }
const words = { Allowed: 'allowed', ExplicitlyDenied: 'explicit-deny', ImplicitlyDenied: 'implicit-deny' }

const read = (policies, name) => policies.map((policy, index) => loadPolicy(policy, { name: `${name}[${index}]` }))
const levels = (all, name, more) =>
  all.map((policies, index) => ({ orgIdentifier: `${index}`, policies: read([...more, ...policies], name) }))

lines.on('line', (line) => {
  const asked = JSON.parse(line)
  const own = asked.principal.split(':')[4] ?? '111122223333'
  const account = asked.context['aws:ResourceAccount'] ?? (asked.resource.split(':')[4] || own)
  const request = new AwsRequestImpl(
    asked.principal, { resource: asked.resource, accountId: account }, asked.action, new RequestContextImpl(asked.context))
  const { result } = authorize({
    request,
    sessionPolicy: asked.session?.length ? read(asked.session, 'session')[0] : undefined,
    identityPolicies: read(asked.identity ?? [], 'identity'),
    serviceControlPolicies: levels(asked.scps ?? [], 'scp', []),
    resourceControlPolicies: levels(asked.rcps ?? [], 'rcp', [FULL]),
    resourcePolicy: asked.resource_policy ? read([asked.resource_policy], 'resource')[0] : undefined,
    permissionBoundaries: asked.boundary ? read([asked.boundary], 'boundary') : undefined,
    vpcEndpointPolicies: undefined,
    simulationParameters: {
      simulationMode: 'Strict',
      discoveryContextKeyConstraints: new DiscoveryContextKeyConstraints([])
    },
    serviceSettings: { s3: {} }
  })
  console.log(words[result])
})
