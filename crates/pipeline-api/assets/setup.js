import{g as t,j as e}from"./chunk.js";function p(){return t(e,{text:"Setup"})}export{p as SetupPage};
