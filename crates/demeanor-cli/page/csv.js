import{EMOTIONS as o}from"./colours.js";const e=1e5,f=.1;export class Rows{#t=[];#s=0;#i=-1/0;get length(){return this.#t.length}clear(){this.#t=[],this.#s=0,this.#i=-1/0}add(t,s,h,i){if(!i?.scores)return;const a=o.map(c=>i.scores?.[c]?.toFixed(4)??""),n=[t.toFixed(3),s,h,i.emotion,i.score?.toFixed(4),...a].join();this.#t.length<e?this.#t.push(n):this.#t[this.#s++%e]=n}estimate(t){if(!(t.time_s-this.#i<f)){this.#i=t.time_s;for(const s of t.faces)this.add(t.time_s,"face",s.id,s);this.add(t.time_s,"voice","",t.voice),this.add(t.time_s,"both","",t.fused)}}text(){const t=this.#s%e,s=[...this.#t.slice(t),...this.#t.slice(0,t)];return`time_s,what,face_id,emotion,score,${o.join()}
${s.join(`
`)}
`}}
