// Builds the console into ui/dist, which is committed, so that go install needs
// no Node. The list of sources with their hash goes with it: a Go test tells
// when the bundle is not what the sources would give.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type Plugin } from 'vite';

const out = '../ui/dist';

/** What the bundle is made from. */
function sources(): string[] {
  const src = readdirSync('src', { recursive: true, withFileTypes: true })
    .filter((f) => f.isFile())
    .map((f) => join(f.parentPath, f.name));
  return ['index.html', 'package-lock.json', 'vite.config.ts', ...src].sort();
}

function sourceSum(): Plugin {
  return {
    name: 'source-sum',
    apply: 'build',
    closeBundle() {
      const sum = createHash('sha256');
      for (const name of sources()) sum.update(name + '\n').update(readFileSync(name)).update('\n');
      writeFileSync(join(out, 'SOURCES'), sum.digest('hex') + '\n');
    },
  };
}

export default defineConfig({
  base: '/console/',
  plugins: [sourceSum()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: out,
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    host: '127.0.0.1',
    proxy: { '/v1': { target: process.env['MARU_ADMIN'] ?? 'http://127.0.0.1:7070', changeOrigin: true } },
  },
});
