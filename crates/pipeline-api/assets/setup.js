import{N as e,z as t}from"./chunk.js";function r(){return t(e,{text:"Setup"})}export{r as SetupPage};
