// Puts the package (pkg/) and the site (dist/) together from what is built, and writes the list of the site's files.
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { transformSync } from 'esbuild';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const here = import.meta.dirname;
const at = (/** @type {string[]} */ ...parts) => join(here, ...parts);
const root = at('../..');
const models = join(root, 'crates/demeanor-models');

for (const name of ['index.js', 'load.js', 'pixels.js']) cpSync(at('js', name), at('pkg', name));
for (const name of ['face-v2.1', 'speech-v2', 'blazeface-v1.1']) {
  cpSync(join(models, name, 'model.safetensors'), at('pkg/models', `${name}.safetensors`));
  cpSync(join(models, name, 'card.md'), at('pkg/models', `${name}.md`));
}
for (const name of ['LICENSE-MIT', 'LICENSE-APACHE']) cpSync(join(root, name), at('pkg/licences', name));
cpSync(join(models, 'LICENSE.md'), at('pkg/licences/MODELS.md'));
cpSync(join(models, 'blazeface-v1.1/NOTICE'), at('pkg/licences/BLAZEFACE-NOTICE'));
cpSync(at('LICENCES.md'), at('pkg/licences/README.md'));
cpSync(at('README.md'), at('pkg/README.md'));

// types, from the comments of the scripts
execFileSync(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', at('tsconfig.types.json')], { stdio: 'inherit' });

const { private: _, scripts: __, devDependencies: ___, ...manifest } = JSON.parse(readFileSync(at('package.json'), 'utf8'));
writeFileSync(at('pkg/package.json'), JSON.stringify({
  ...manifest,
  sideEffects: false,
  exports: { '.': { types: './index.d.ts', default: './index.js' }, './models/*': './models/*', './wasm/*': './wasm/*' },
  engines: { node: '>=20' },
}, null, 2) + '\n');

// the site
rmSync(at('dist'), { recursive: true, force: true });
mkdirSync(at('dist'));
cpSync(at('page'), at('dist'), { recursive: true });
for (const name of ['index.js', 'load.js', 'pixels.js', 'wasm', 'models', 'licences']) {
  cpSync(at('pkg', name), at('dist/demeanor', name), { recursive: true, filter: (path) => !/\.(d\.ts|md)$/.test(path) || path.includes('licences') });
}
// the package keeps its comments, the site goes over the network
for (const entry of readdirSync(at('dist'), { recursive: true, withFileTypes: true })) {
  if (!entry.name.endsWith('.js') || entry.name === 'sw.js') continue;
  const path = join(entry.parentPath, entry.name);
  writeFileSync(path, transformSync(readFileSync(path, 'utf8'), { minify: true, target: 'es2022' }).code);
}
const all = readdirSync(at('dist'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(at('dist'), join(entry.parentPath, entry.name)))
  .sort();
const hash = (/** @type {string | Buffer} */ bytes) => createHash('sha256').update(bytes).digest('hex');
// the service worker holds the list and a version made of all contents, so that another version is another file
const listed = all.filter((path) => path !== 'sw.js');
const version = hash(listed.map((path) => hash(readFileSync(at('dist', path)))).join()).slice(0, 12);
const worker = readFileSync(at('page/sw.js'), 'utf8')
  .replace("'VERSION'", `'${version}'`)
  .replace("['FILES']", JSON.stringify(listed));
writeFileSync(at('dist/sw.js'), worker);
const files = all.map((path) => {
  const bytes = readFileSync(at('dist', path));
  return { path, bytes: bytes.length, sha256: hash(bytes) };
});
writeFileSync(at('dist/files.json'), JSON.stringify({ version, files }, null, 1) + '\n');
