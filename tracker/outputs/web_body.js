// The live page's bodies, drawn by the browser's WebGL 2: turned with a finger, a mouse or the arrow keys.
//
// The mesh comes once, as safetensors; each frame's poses come as docs/stream.md describes them. Metres, radians; the
// world is y up with the floor at 0. Matrices are column-major, as WebGL has them.

const HEADER = 72, PERSON = 840, JOINTS = 24;
const REACH = [1, 12], PITCH = [-0.2, 1.45];
const FIELD_OF_VIEW = 0.8;
const FOLLOWING = 0.1;
const CENTRE = 0.05; // m above the pelvis

export function readTensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const types = { F32: Float32Array, U32: Uint32Array, I32: Int32Array, U8: Uint8Array };
  const { __metadata__: metadata, ...entries } = header;
  const tensors = { metadata };
  for (const [name, { dtype, data_offsets: [start, end] }] of Object.entries(entries)) {
    const type = types[dtype];
    tensors[name] = new type(buffer, 8 + length + start, (end - start) / type.BYTES_PER_ELEMENT);
  }
  return tensors;
}

export function readPoses(buffer) {
  const view = new DataView(buffer);
  const people = [];
  for (let i = 0; i < view.getUint32(16, true); i++) {
    const at = HEADER + PERSON * i;
    people.push({
      id: view.getInt32(at, true),
      rotations: new Float32Array(buffer, at + 32, 4 * JOINTS),
      betas: new Float32Array(buffer, at + 416, 10),
      joints: new Float32Array(buffer, at + 456, 3 * JOINTS),
      confidence: new Float32Array(buffer, at + 744, JOINTS),
    });
  }
  return { cameraToWorld: rowsToMatrix(new Float32Array(buffer, 24, 12)), people };
}

// From red over yellow to green, as in the picture.
export function confidenceColour(share) {
  const [low, middle, high] = [[0.84, 0.16, 0.3], [0.95, 0.85, 0.25], [0.25, 0.72, 0.4]];
  const t = Math.min(Math.max(share, 0), 1) * 2;
  return low.map((_, i) => (t < 1 ? low[i] + t * (middle[i] - low[i]) : middle[i] + (t - 1) * (high[i] - middle[i])));
}

export class BodyView {
  // Throws where the browser has no WebGL 2. tensors: as readTensors gives them.
  constructor(canvas, tensors) {
    const gl = canvas.getContext("webgl2", { antialias: true, stencil: true });
    if (!gl) throw new Error("no WebGL 2");
    Object.assign(this, { canvas, gl, tensors, style: "body", frame: null, shapes: new Map() });
    this.colours = JSON.parse(tensors.metadata.colours);
    this.programs = {
      body: program(gl, SKIN_VERTEX, SKIN_FRAGMENT),
      bone: program(gl, BONE_VERTEX, BONE_FRAGMENT),
      floor: program(gl, FLOOR_VERTEX, FLOOR_FRAGMENT),
    };
    this.bones = boneArrays(gl);
    this.floor = arrays(gl, [[new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), 2]]);
    this.reset();
    this.listen();
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  reset() {
    Object.assign(this, { yaw: 0, pitch: 0.15, reach: 3.4, target: [0, 0.9, 0], follows: true });
    this.redraw();
  }

  show(buffer) {
    this.frame = readPoses(buffer);
    this.follow();
    this.redraw();
  }

  setStyle(style) {
    this.style = style;
    this.redraw();
  }

  turn(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.min(Math.max(this.pitch + pitch, PITCH[0]), PITCH[1]);
    this.redraw();
  }

  zoom(factor) {
    this.reach = Math.min(Math.max(this.reach * factor, REACH[0]), REACH[1]);
    this.redraw();
  }

  // Moves by pixels of the page.
  pan(x, y) {
    const scale = (2 * this.reach * Math.tan(FIELD_OF_VIEW / 2)) / this.canvas.clientHeight;
    const { right, up } = axes(this.yaw, this.pitch);
    this.target = this.target.map((value, i) => value - scale * (x * right[i] - y * up[i]));
    this.follows = false;
    this.redraw();
  }

  redraw() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }

  // ------------------------------------------------------------------------------------------------ hands

  listen() {
    const touches = new Map();
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      touches.set(event.pointerId, [event.clientX, event.clientY]);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, event => touches.delete(event.pointerId));
    }
    canvas.addEventListener("pointermove", event => {
      const before = touches.get(event.pointerId);
      if (!before) return;
      const now = [event.clientX, event.clientY], moved = [now[0] - before[0], now[1] - before[1]];
      if (touches.size === 2) this.pinch(touches, event.pointerId, now, moved);
      else if (event.buttons & 2 || event.shiftKey) this.pan(...moved);
      else this.turn(-moved[0] / 150, moved[1] / 150);
      touches.set(event.pointerId, now);
    });
    canvas.addEventListener("wheel", event => {
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY / 700));
    }, { passive: false });
    canvas.addEventListener("contextmenu", event => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("keydown", event => {
      const steps = {
        ArrowLeft: () => this.turn(-0.15, 0), ArrowRight: () => this.turn(0.15, 0), ArrowUp: () => this.turn(0, 0.1),
        ArrowDown: () => this.turn(0, -0.1), "+": () => this.zoom(0.85), "-": () => this.zoom(1 / 0.85),
        Home: () => this.reset(),
      };
      if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      steps[event.key]();
    });
  }

  pinch(touches, id, now, moved) {
    const [, other] = [...touches].find(([key]) => key !== id);
    const apart = point => Math.hypot(point[0] - other[0], point[1] - other[1]);
    this.zoom(Math.max(apart(touches.get(id)), 1) / Math.max(apart(now), 1));
    this.pan(moved[0] / 2, moved[1] / 2);
  }

  // Keeps the people in the middle until the view is moved by hand.
  follow() {
    const { people, cameraToWorld } = this.frame;
    if (!this.follows || !people.length) return;
    const middle = [0, 0, 0];
    for (const { joints } of people) {
      transformed(cameraToWorld, joints, 0).forEach((value, i) => { middle[i] += value / people.length; });
    }
    middle[1] += CENTRE;
    const share = this.found ? FOLLOWING : 1;
    this.found = true;
    this.target = this.target.map((value, i) => value + share * (middle[i] - value));
  }

  // ---------------------------------------------------------------------------------------------- drawing

  draw() {
    const { gl, canvas } = this;
    const density = Math.min(devicePixelRatio || 1, 2);
    const size = [canvas.clientWidth, canvas.clientHeight].map(value => Math.max(1, Math.round(value * density)));
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    gl.viewport(0, 0, ...size);
    gl.clearColor(0.085, 0.09, 0.1, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT | gl.STENCIL_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.CULL_FACE);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    const { eye, matrix } = camera(this.yaw, this.pitch, this.reach, this.target, size[0] / size[1]);
    this.drawFloor(matrix, eye);
    const people = this.frame ? this.frame.people.map(person => this.posed(person)) : [];
    for (const posed of people) this.drawShadow(matrix, posed);
    if (this.style === "bones") for (const posed of people) this.drawBones(matrix, posed);
    for (const posed of people) this.drawBody(matrix, eye, posed);
    this.forget(people);
  }

  // Each joint's rotation and place in the world, and the buffers of this person's shape.
  posed(person) {
    const { cameraToWorld } = this.frame, { parents } = this.tensors;
    const shape = this.shapeOf(person);
    const matrices = new Float32Array(16 * JOINTS), places = new Float32Array(3 * JOINTS), turns = [];
    const root = rotationOf(cameraToWorld);
    for (let joint = 0; joint < JOINTS; joint++) {
      const local = quaternionToMatrix(person.rotations, 4 * joint);
      turns.push(times(joint ? turns[parents[joint]] : root, local));
      const place = transformed(cameraToWorld, person.joints, 3 * joint);
      places.set(place, 3 * joint);
      matrices.set(boneMatrix(turns[joint], place, shape.joints, 3 * joint), 16 * joint);
    }
    return { person, shape, matrices, places };
  }

  // The shape's coefficients change slowly: its vertices are made anew when they have moved by a millimetre or so.
  shapeOf(person) {
    const { gl, tensors } = this;
    let shape = this.shapes.get(person.id);
    if (shape && shape.betas.every((value, i) => Math.abs(value - person.betas[i]) < 0.02)) return shape;
    const vertices = shaped(tensors.vertices, tensors.shapes, person.betas);
    if (!shape) {
      shape = bodyArrays(gl, tensors);
      this.shapes.set(person.id, shape);
    }
    gl.bindBuffer(gl.ARRAY_BUFFER, shape.vertices);
    gl.bufferData(gl.ARRAY_BUFFER, vertices, gl.DYNAMIC_DRAW);
    shape.joints = shaped(tensors.joints, tensors.joint_shapes, person.betas);
    shape.betas = person.betas.slice();
    return shape;
  }

  // Frees the buffers of those who have gone.
  forget(people) {
    const here = new Set(people.map(({ person }) => person.id));
    for (const [id, shape] of this.shapes) {
      if (here.has(id)) continue;
      this.gl.deleteVertexArray(shape.array);
      for (const buffer of shape.buffers) this.gl.deleteBuffer(buffer);
      this.shapes.delete(id);
    }
  }

  drawFloor(matrix, eye) {
    const { gl } = this, use = this.programs.floor;
    gl.useProgram(use.program);
    gl.uniformMatrix4fv(use.at("u_matrix"), false, matrix);
    gl.uniform3fv(use.at("u_eye"), eye);
    gl.bindVertexArray(this.floor.array);
    gl.disable(gl.CULL_FACE);
    gl.enable(gl.BLEND);
    gl.depthMask(false);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.depthMask(true);
    gl.disable(gl.BLEND);
    gl.enable(gl.CULL_FACE);
  }

  // On the floor, each pixel darkened once.
  drawShadow(matrix, posed) {
    const { gl } = this;
    gl.enable(gl.BLEND);
    gl.disable(gl.CULL_FACE);
    gl.enable(gl.STENCIL_TEST);
    gl.stencilFunc(gl.EQUAL, 0, 255);
    gl.stencilOp(gl.KEEP, gl.KEEP, gl.INCR);
    gl.depthMask(false);
    this.skin(matrix, [0, 0, 0], posed, { shadow: 1, colour: [0, 0, 0], alpha: 0.35, byConfidence: 0 });
    gl.depthMask(true);
    gl.disable(gl.STENCIL_TEST);
    gl.enable(gl.CULL_FACE);
    gl.disable(gl.BLEND);
  }

  drawBody(matrix, eye, posed) {
    const { gl } = this, clear = this.style === "bones";
    if (clear) gl.enable(gl.BLEND);
    const colour = this.colours[posed.person.id % this.colours.length];
    const byConfidence = this.style === "confidence" ? 1 : 0;
    this.skin(matrix, eye, posed, { shadow: 0, colour, alpha: clear ? 0.3 : 1, byConfidence });
    if (clear) gl.disable(gl.BLEND);
  }

  skin(matrix, eye, { person, shape, matrices }, { shadow, colour, alpha, byConfidence }) {
    const { gl } = this, use = this.programs.body;
    gl.useProgram(use.program);
    gl.uniformMatrix4fv(use.at("u_matrix"), false, matrix);
    gl.uniformMatrix4fv(use.at("u_bones"), false, matrices);
    gl.uniform1fv(use.at("u_confidence"), person.confidence);
    gl.uniform3fv(use.at("u_colour"), colour);
    gl.uniform3fv(use.at("u_eye"), eye);
    gl.uniform1f(use.at("u_alpha"), alpha);
    gl.uniform1f(use.at("u_shadow"), shadow);
    gl.uniform1f(use.at("u_by_confidence"), byConfidence);
    gl.bindVertexArray(shape.array);
    gl.drawElements(gl.TRIANGLES, this.tensors.faces.length, gl.UNSIGNED_INT, 0);
  }

  drawBones(matrix, { person, places }) {
    const { gl } = this, use = this.programs.bone, { parents } = this.tensors;
    const ends = new Float32Array(6 * (JOINTS - 1)), colours = new Float32Array(6 * (JOINTS - 1));
    for (let joint = 1; joint < JOINTS; joint++) {
      const at = 6 * (joint - 1), parent = parents[joint];
      ends.set(places.subarray(3 * parent, 3 * parent + 3), at);
      ends.set(places.subarray(3 * joint, 3 * joint + 3), at + 3);
      colours.set(confidenceColour(person.confidence[parent]), at);
      colours.set(confidenceColour(person.confidence[joint]), at + 3);
    }
    gl.useProgram(use.program);
    gl.uniformMatrix4fv(use.at("u_matrix"), false, matrix);
    gl.bindVertexArray(this.bones.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.bones.ends);
    gl.bufferData(gl.ARRAY_BUFFER, ends, gl.STREAM_DRAW);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.bones.colours);
    gl.bufferData(gl.ARRAY_BUFFER, colours, gl.STREAM_DRAW);
    gl.disable(gl.CULL_FACE);
    gl.drawArraysInstanced(gl.TRIANGLES, 0, this.bones.count, JOINTS - 1);
    gl.enable(gl.CULL_FACE);
  }
}

// ------------------------------------------------------------------------------------------------- geometry

function shaped(rest, shapes, betas) {
  const out = new Float32Array(rest);
  for (let i = 0; i < out.length; i++) {
    for (let k = 0; k < 10; k++) out[i] += shapes[10 * i + k] * betas[k];
  }
  return out;
}

function rowsToMatrix(rows) {
  const m = new Float32Array(16);
  for (let row = 0; row < 3; row++) for (let column = 0; column < 4; column++) m[4 * column + row] = rows[4 * row + column];
  m[15] = 1;
  return m;
}

function rotationOf(m) {
  return [m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]];
}

function transformed(m, points, at) {
  const [x, y, z] = [points[at], points[at + 1], points[at + 2]];
  return [0, 1, 2].map(row => m[row] * x + m[4 + row] * y + m[8 + row] * z + m[12 + row]);
}

function quaternionToMatrix(q, at) {
  const [x, y, z, w] = [q[at], q[at + 1], q[at + 2], q[at + 3]];
  return [
    1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y),
    2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x),
    2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y),
  ];
}

function times(a, b) {
  const out = new Array(9);
  for (let c = 0; c < 3; c++) {
    for (let r = 0; r < 3; r++) out[3 * c + r] = a[r] * b[3 * c] + a[3 + r] * b[3 * c + 1] + a[6 + r] * b[3 * c + 2];
  }
  return out;
}

// Takes what hangs on a joint at rest to where the joint is.
function boneMatrix(turn, place, rest, at) {
  const [x, y, z] = [rest[at], rest[at + 1], rest[at + 2]];
  const move = [0, 1, 2].map(row => place[row] - (turn[row] * x + turn[3 + row] * y + turn[6 + row] * z));
  return [...turn.slice(0, 3), 0, ...turn.slice(3, 6), 0, ...turn.slice(6, 9), 0, ...move, 1];
}

function axes(yaw, pitch) {
  const back = [Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), Math.cos(yaw) * Math.cos(pitch)];
  const right = [Math.cos(yaw), 0, -Math.sin(yaw)];
  const up = [
    back[1] * right[2] - back[2] * right[1], back[2] * right[0] - back[0] * right[2],
    back[0] * right[1] - back[1] * right[0],
  ];
  return { right, up, back };
}

function camera(yaw, pitch, reach, target, aspect) {
  const { right, up, back } = axes(yaw, pitch);
  const eye = target.map((value, i) => value + reach * back[i]);
  const dot = a => -(a[0] * eye[0] + a[1] * eye[1] + a[2] * eye[2]);
  const near = 0.05, far = 60, scale = 1 / Math.tan(FIELD_OF_VIEW / 2);
  // a tall window shows as much to the sides as a square one
  const [sx, sy] = aspect < 1 ? [scale, scale * aspect] : [scale / aspect, scale];
  const depth = (far + near) / (near - far), move = (2 * far * near) / (near - far);
  const matrix = new Float32Array(16);
  for (let i = 0; i < 3; i++) matrix.set([sx * right[i], sy * up[i], depth * back[i], -back[i]], 4 * i);
  matrix.set([sx * dot(right), sy * dot(up), depth * dot(back) + move, -dot(back)], 12);
  return { eye, matrix };
}

// ---------------------------------------------------------------------------------------------------- WebGL

function program(gl, vertex, fragment) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  const places = new Map();
  const at = name => {
    if (!places.has(name)) places.set(name, gl.getUniformLocation(made, name));
    return places.get(name);
  };
  return { program: made, at };
}

// A vertex array of [values, size, instanced] at the places 0, 1, …
function arrays(gl, attributes) {
  const array = gl.createVertexArray(), buffers = [];
  gl.bindVertexArray(array);
  attributes.forEach(([values, size], place) => {
    const buffer = gl.createBuffer();
    buffers.push(buffer);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(place);
    if (values instanceof Uint8Array) gl.vertexAttribIPointer(place, size, gl.UNSIGNED_BYTE, 0, 0);
    else gl.vertexAttribPointer(place, size, gl.FLOAT, false, 0, 0);
  });
  return { array, buffers };
}

function bodyArrays(gl, tensors) {
  const made = arrays(gl, [
    [tensors.vertices, 3], [tensors.normals, 3], [tensors.skin_joints, 4], [tensors.skin_weights, 4],
  ]);
  const faces = gl.createBuffer();
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, faces);
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, tensors.faces, gl.STATIC_DRAW);
  return { array: made.array, vertices: made.buffers[0], buffers: [...made.buffers, faces] };
}

// A bone is two four-sided pyramids, thickest a fifth of the way along.
function boneArrays(gl) {
  const ring = [[1, 0], [0, 1], [-1, 0], [0, -1]];
  const corners = [];
  ring.forEach((side, i) => {
    const next = ring[(i + 1) % 4];
    for (const end of [0, 1]) corners.push(0, 0, end, ...side, 0.2, ...next, 0.2);
  });
  const made = arrays(gl, [[new Float32Array(corners), 3]]);
  const instanced = first => {
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    for (const half of [0, 1]) {
      gl.enableVertexAttribArray(first + half);
      gl.vertexAttribPointer(first + half, 3, gl.FLOAT, false, 24, 12 * half);
      gl.vertexAttribDivisor(first + half, 1);
    }
    return buffer;
  };
  return { array: made.array, ends: instanced(1), colours: instanced(3), count: corners.length / 3 };
}

const SKIN_VERTEX = `#version 300 es
layout(location = 0) in vec3 a_place;
layout(location = 1) in vec3 a_normal;
layout(location = 2) in uvec4 a_joints;
layout(location = 3) in vec4 a_weights;
uniform mat4 u_matrix, u_bones[24];
uniform float u_confidence[24], u_shadow;
out vec3 v_place, v_normal;
out float v_confidence;
void main() {
  mat4 bone = mat4(0.0);
  v_confidence = 0.0;
  for (int i = 0; i < 4; i++) {
    bone += a_weights[i] * u_bones[a_joints[i]];
    v_confidence += a_weights[i] * u_confidence[a_joints[i]];
  }
  vec4 place = bone * vec4(a_place, 1.0);
  if (u_shadow > 0.5) place = vec4(place.x + 0.25 * place.y, 0.003, place.z + 0.1 * place.y, 1.0);
  v_place = place.xyz;
  v_normal = mat3(bone) * a_normal;
  gl_Position = u_matrix * place;
}`;

const SKIN_FRAGMENT = `#version 300 es
precision highp float;
in vec3 v_place, v_normal;
in float v_confidence;
uniform vec3 u_colour, u_eye;
uniform float u_alpha, u_shadow, u_by_confidence;
out vec4 colour;
vec3 ramp(float share) {
  vec3 low = vec3(0.84, 0.16, 0.30), middle = vec3(0.95, 0.85, 0.25), high = vec3(0.25, 0.72, 0.40);
  return share < 0.5 ? mix(low, middle, 2.0 * share) : mix(middle, high, 2.0 * share - 1.0);
}
void main() {
  if (u_shadow > 0.5) {
    colour = vec4(u_colour, u_alpha);
    return;
  }
  vec3 normal = normalize(v_normal), eye = normalize(u_eye - v_place);
  float key = max(dot(normal, normalize(vec3(-0.6, 0.9, 0.7))), 0.0);
  float fill = max(dot(normal, eye), 0.0), rim = pow(1.0 - fill, 3.0);
  vec3 base = u_by_confidence > 0.5 ? ramp(clamp(v_confidence, 0.0, 1.0)) : u_colour;
  vec3 light = base * (0.25 + 0.6 * key + 0.25 * fill) + 0.12 * rim;
  colour = vec4(min(light, 1.0), u_alpha);
}`;

const BONE_VERTEX = `#version 300 es
layout(location = 0) in vec3 a_corner;
layout(location = 1) in vec3 a_from;
layout(location = 2) in vec3 a_to;
layout(location = 3) in vec3 a_from_colour;
layout(location = 4) in vec3 a_to_colour;
uniform mat4 u_matrix;
out vec3 v_colour;
void main() {
  vec3 along = a_to - a_from;
  float length_m = max(length(along), 1e-5);
  vec3 side = normalize(cross(along, abs(along.y) < 0.9 * length_m ? vec3(0, 1, 0) : vec3(1, 0, 0)));
  vec3 other = cross(along / length_m, side);
  float thick = clamp(0.12 * length_m, 0.012, 0.035);
  vec3 place = a_from + a_corner.z * along + thick * (a_corner.x * side + a_corner.y * other);
  float shade = 0.8 + 0.2 * a_corner.x;
  v_colour = shade * mix(a_from_colour, a_to_colour, a_corner.z);
  gl_Position = u_matrix * vec4(place, 1.0);
}`;

const BONE_FRAGMENT = `#version 300 es
precision highp float;
in vec3 v_colour;
out vec4 colour;
void main() { colour = vec4(v_colour, 1.0); }`;

const FLOOR_VERTEX = `#version 300 es
layout(location = 0) in vec2 a_place;
uniform mat4 u_matrix;
uniform vec3 u_eye;
out vec2 v_place;
void main() {
  v_place = floor(u_eye.xz) + 30.0 * a_place;
  gl_Position = u_matrix * vec4(v_place.x, 0.0, v_place.y, 1.0);
}`;

const FLOOR_FRAGMENT = `#version 300 es
precision highp float;
in vec2 v_place;
uniform vec3 u_eye;
out vec4 colour;
float lines(vec2 place, float width) {
  vec2 away = abs(fract(place - 0.5) - 0.5), pixel = fwidth(place);
  vec2 drawn = 1.0 - smoothstep(width * pixel, (width + 1.0) * pixel, away);
  return max(drawn.x, drawn.y) * clamp(1.0 - 1.5 * max(pixel.x, pixel.y), 0.0, 1.0);
}
void main() {
  float far = distance(v_place, u_eye.xz);
  float fade = exp(-far * far / 90.0);
  float grid = max(0.45 * lines(v_place, 0.5), 0.18 * lines(2.0 * v_place, 0.3));
  vec3 ground = vec3(0.17, 0.18, 0.2);
  colour = vec4(mix(ground, vec3(0.75), grid), fade);
}`;
